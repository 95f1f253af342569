#!/usr/bin/env bash
# Makes the files of the page at /graphiql, which are committed and become part of the binary.
#
#   scripts/bundle_graphiql.sh             makes them anew from graphiql/
#   scripts/bundle_graphiql.sh check       makes them elsewhere and fails if they are not the committed ones
#   scripts/bundle_graphiql.sh unchanged   fails if a file of graphiql/ was changed since they were made; needs no npm
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# The order of file names must not depend on the locale.
export LC_ALL=C

readonly MADE=src/http/graphiql
readonly SUMS=graphiql/made_from.cksum

sums() { (cd graphiql && cksum ./*.mjs ./*.js ./*.jsx ./*.css ./*.json); }

fail() {
  echo "graphiql: $*; scripts/bundle_graphiql.sh makes it anew" >&2
  exit 1
}

make_into() (
  cd graphiql
  npm ci --ignore-scripts --no-audit --no-fund --loglevel error
  node build.mjs "$1"
)

case "${1:-}" in
"")
  rm -f "$MADE"/*.gz
  make_into "$PWD/$MADE"
  sums >"$SUMS"
  ;;
check)
  folder=$(mktemp -d "${TMPDIR:-/tmp}/walcast-graphiql.XXXXXX")
  trap 'rm -rf "$folder"' EXIT
  make_into "$folder"
  cp "$MADE/index.html" "$folder"
  diff -r "$folder" "$MADE" || fail "the committed bundle is not what graphiql/ gives"
  sums | diff "$SUMS" - || fail "the committed bundle was made from other files"
  ;;
unchanged)
  sums | diff "$SUMS" - || fail "the committed bundle was made from other files"
  ;;
*)
  sed -n 's/^# \{0,1\}//; 2,6p' "${BASH_SOURCE[0]}" >&2
  exit 2
  ;;
esac
