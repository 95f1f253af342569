# shellcheck shell=bash disable=SC2154
# What the simulate_*.sh scripts share: their arguments, the demo's database, one connection for all rows.
# bash 3.2 (macOS) is enough. To be sourced, after the arguments' defaults are set:
#
#   name     the script's own name          usage    a function that prints its -h
#   count    rows to write                  delay    seconds between two of them
#   url      of the database, or empty: then that of the running demo

refuse() {
  printf '%s: %s\n' "$name" "$1" >&2
  printf '%s -h tells how to use it\n' "$name" >&2
  exit 2
}

# A whole number from 1 on that fits into SQL's bigint.
whole() {
  case "$2" in
  '' | *[!0-9]* | 0*) refuse "$1 takes a whole number from 1 on, not '$2'" ;;
  esac
  [ "${#2}" -le 18 ] || refuse "$1 takes at most 18 digits"
}

seconds() {
  [[ $2 =~ ^[0-9]{1,5}(\.[0-9]{1,3})?$ ]] || refuse "$1 takes seconds such as 2 or 0.25, not '$2'"
}

# The running demo keeps its URL in a file that nobody else may read; of several demos, the one started last.
demo_url() {
  local file newest=
  for file in "${TMPDIR:-/tmp}/walcast-demo-$(id -u)"/*/url; do
    if [ -O "$file" ] && { [ -z "$newest" ] || [ "$file" -nt "$newest" ]; }; then newest=$file; fi
  done
  [ -z "$newest" ] || cat "$newest"
}

# Carries out the statements that `statements N` prints for each number from 1 to $count, one after the other, and
# prints what they return. Stops at the first that fails.
run() {
  command -v psql >/dev/null 2>&1 || { echo "$name: psql is missing (Debian: apt-get install postgresql-client)" >&2; exit 1; }
  [ -n "$url" ] || url=$(demo_url)
  [ -n "$url" ] || {
    echo "$name: no demo is running here (make demo starts one); -u or DATABASE_URL names another database" >&2
    exit 1
  }
  local n
  for ((n = 1; n <= count; n++)); do
    [ "$n" -eq 1 ] || sleep "$delay"
    # Once psql has gone, it has said why.
    statements "$n" 2>/dev/null || break
  done | psql --no-psqlrc --quiet --no-align --tuples-only --set ON_ERROR_STOP=1 "$@" --dbname "$url"
}
