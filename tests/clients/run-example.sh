#!/bin/sh
# Runs one example with the modules that scripts/setup.sh installs beside this file:
#     WALCAST_URL=ws://127.0.0.1:PORT [TOPIC=...] run-example.sh phoenix|realtime-js|browser|python
#     WALCAST_URL=http://127.0.0.1:PORT run-example.sh graphql/FILE|live/FILE|countdown/FILE|auction|react
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
graphql/*.mjs | live/*.mjs | countdown/*.mjs)
    folder=${name%/*}
    node "$here/pins.cjs" "$examples/$folder/package.json"
    run="$here/node_modules/.examples/$folder"
    mkdir -p "$run"
    cp "$examples/$name" "$run/${name#*/}.$$"
    mv "$run/${name#*/}.$$" "$run/${name#*/}"
    exec node "$run/${name#*/}"
    ;;
auction)
    node "$here/pins.cjs" "$examples/auction/package.json"
    run="$here/node_modules/.examples/auction"
    mkdir -p "$run"
    cp "$examples/auction/page.jsx" "$examples/auction/index.html" "$run"
    "$here/node_modules/.bin/esbuild" "$run/page.jsx" --bundle --jsx=automatic --outfile="$run/page.js" --log-level=error
    exec node "$here/../browser/auction.mjs" "$run"
    ;;
react)
    node "$here/pins.cjs" "$examples/react/package.json"
    run="$here/node_modules/.examples/react"
    mkdir -p "$run"
    cp "$examples/react/page.jsx" "$examples/react/hooks.js" "$examples/react/index.html" "$run"
    client=$(cd "$here/../../src/http/console" && pwd)/walcast.js
    "$here/node_modules/.bin/esbuild" "$run/page.jsx" --bundle --jsx=automatic --alias:walcast="$client" --outfile="$run/page.js" --log-level=error
    exec node "$here/../browser/react.test.mjs" "$run"
    ;;
graphql/*.sh | live/*.sh | countdown/*.sh)
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
