#!/bin/sh
# Installs what the tests with foreign clients and with the browser need, in the versions that are
# pinned beside this file. Does nothing where they are there already.
set -eu
here=$(cd "$(dirname "$0")" && pwd)

need() {
    command -v "$1" >/dev/null 2>&1 || { echo "$1 is missing: apt-get install $2" >&2; exit 1; }
}

# npm notes what it installed in node_modules/.package-lock.json; older than the lock file is stale.
node_modules() {
    if [ ! -f "$1/node_modules/.package-lock.json" ] ||
        [ -n "$(find "$1/package-lock.json" -newer "$1/node_modules/.package-lock.json")" ]; then
        (cd "$1" && npm ci --no-audit --no-fund --loglevel=error)
        touch "$1/node_modules/.package-lock.json"
    fi
}

need node nodejs
need npm npm
need python3 python3-venv
node_modules "$here"
node_modules "$here/../browser"

if ! cmp -s "$here/requirements.txt" "$here/.venv/installed.txt"; then
    python3 -m venv "$here/.venv" || { echo "python3 -m venv failed: apt-get install python3-venv" >&2; exit 1; }
    "$here/.venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$here/requirements.txt"
    cp "$here/requirements.txt" "$here/.venv/installed.txt"
fi
