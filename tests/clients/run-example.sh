#!/bin/sh
# Runs one example with the modules that scripts/setup.sh installs beside this file:
#     WALCAST_URL=ws://127.0.0.1:PORT [TOPIC=...] run-example.sh phoenix|realtime-js|browser|python
#     WALCAST_URL=http://127.0.0.1:PORT run-example.sh graphql/FILE
# Every example of the first line prints `joined TOPIC ...` once it listens, then `KIND schema.table {row}` a change.
set -eu
name=${1:?which example?}
here=$(cd "$(dirname "$0")" && pwd)
examples=$(cd "$here/../../examples" && pwd)
WALCAST_URL=${WALCAST_URL:?where is the server?}
WALCAST_URL=${WALCAST_URL%/socket}
export WALCAST_URL

case $name in
phoenix | realtime-js)
    node "$here/pins.cjs" "$examples/$name/package.json"
    # Node looks for modules in the parents of the file that imports them.
    run="$here/node_modules/.examples/$name"
    mkdir -p "$run" "$here/node_modules/.examples/node_modules/@supabase"
    ln -sfn ../../../realtime-js-1.7 "$here/node_modules/.examples/node_modules/@supabase/realtime-js"
    cp "$examples/$name/subscribe.mjs" "$run/subscribe.mjs.$$"
    mv "$run/subscribe.mjs.$$" "$run/subscribe.mjs"
    exec node "$run/subscribe.mjs"
    ;;
graphql/*.mjs)
    node "$here/pins.cjs" "$examples/graphql/package.json"
    run="$here/node_modules/.examples/graphql"
    mkdir -p "$run"
    file=${name#graphql/}
    cp "$examples/graphql/$file" "$run/$file.$$"
    mv "$run/$file.$$" "$run/$file"
    exec node "$run/$file"
    ;;
graphql/*.sh)
    exec sh "$examples/$name"
    ;;
python)
    cmp "$examples/python/requirements.txt" "$here/requirements.txt"
    exec "$here/.venv/bin/python" -u "$examples/python/subscribe.py"
    ;;
browser)
    exec node "$here/../browser/example.mjs" "$examples/browser"
    ;;
*)
    echo "there is no example '$name'" >&2
    exit 2
    ;;
esac
