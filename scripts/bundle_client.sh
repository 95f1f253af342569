#!/usr/bin/env bash
# Makes the JavaScript client that the console page uses, which is committed and becomes part of the binary.
#
#   scripts/bundle_client.sh             makes it anew from clients/js
#   scripts/bundle_client.sh check       makes it elsewhere and fails if it is not the committed one
#   scripts/bundle_client.sh unchanged   fails if a file of clients/js was changed since it was made; needs no npm
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# The order of file names must not depend on the locale.
export LC_ALL=C

readonly MADE=src/http/console/walcast.js
readonly SUMS=clients/js/made_from.cksum

sums() { (cd clients/js && cksum src/*.ts build.mjs package-lock.json); }

fail() {
  echo "client: $*; scripts/bundle_client.sh makes it anew" >&2
  exit 1
}

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
  sums >"$SUMS"
  ;;
check)
  make_into "$folder"
  cmp "$folder/index.js" "$MADE" || fail "the committed client is not what clients/js gives"
  sums | diff "$SUMS" - || fail "the committed client was made from other files"
  ;;
unchanged)
  sums | diff "$SUMS" - || fail "the committed client was made from other files"
  ;;
*)
  sed -n 's/^# \{0,1\}//; 2,6p' "${BASH_SOURCE[0]}" >&2
  exit 2
  ;;
esac
