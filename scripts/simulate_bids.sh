#!/usr/bin/env bash
# Places bids on an auction of the demo, each higher than the last, so that a live query has something to show.
set -euo pipefail
name=scripts/simulate_bids.sh
auction=1
count=50
delay=0.2
url=${DATABASE_URL:-}
. "$(dirname "${BASH_SOURCE[0]}")/simulation.sh"

usage() {
  cat <<'TEXT'
Places bids on an auction of the demo, one after the other, each higher than the last.

  scripts/simulate_bids.sh [-a AUCTION] [-n COUNT] [-d SECONDS] [-u DATABASE_URL]

  -a AUCTION        which auction (1)
  -n COUNT          how many bids (50)
  -d SECONDS        from one bid to the next (0.2)
  -u DATABASE_URL   where; by default $DATABASE_URL, else the demo that runs here
  -h                prints this
TEXT
}

while getopts :a:n:d:u:h option; do
  case $option in
  a) whole -a "$OPTARG" && auction=$OPTARG ;;
  n) whole -n "$OPTARG" && count=$OPTARG ;;
  d) seconds -d "$OPTARG" && delay=$OPTARG ;;
  u) url=$OPTARG ;;
  h) usage && exit ;;
  :) refuse "-$OPTARG needs a value" ;;
  *) refuse "there is no option -$OPTARG" ;;
  esac
done
shift $((OPTIND - 1))
[ $# -eq 0 ] || refuse "what is '$1' for?"

# The lock comes first: whoever else bids waits, and the amount is still the highest when it is placed.
statements() {
  cat <<SQL
begin;
select from auctions where id = :auction for update;
select 'bid $1 of $count: ' || placed.amount || ' on auction ' || placed.auction_id
from bid(:auction, (select coalesce(max(amount), 0) + 1 + floor(random() * 10)::int from bids where auction_id = :auction)) placed;
commit;
SQL
}

run --set "auction=$auction"
