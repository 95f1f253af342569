#!/usr/bin/env bash
# Makes the JavaScript client that the console page uses, which is committed and becomes part of the binary.
#
#   scripts/bundle_client.sh             makes it anew from clients/js
#   scripts/bundle_client.sh check       makes it elsewhere and fails if it is not the committed one
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly MADE=src/http/console/walcast.js

make_into() (
  cd clients/js
  [ -e node_modules ] || npm ci --ignore-scripts --no-audit --no-fund --loglevel error
  node build.mjs "$1"
)

folder=$(mktemp -d "${TMPDIR:-/tmp}/walcast-client.XXXXXX")
trap 'rm -rf "$folder"' EXIT
case "${1:-}" in
"")
  make_into "$folder"
  cp "$folder/index.js" "$MADE"
  ;;
check)
  make_into "$folder"
  if ! cmp "$folder/index.js" "$MADE"; then
    echo "client: the committed file is not what clients/js gives; scripts/bundle_client.sh makes it anew" >&2
    exit 1
  fi
  ;;
*)
  sed -n 's/^# \{0,1\}//; 2,5p' "${BASH_SOURCE[0]}" >&2
  exit 2
  ;;
esac
