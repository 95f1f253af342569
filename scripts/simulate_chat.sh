#!/usr/bin/env bash
# Says things in a room of the demo, so that a subscription or a live query has something to show.
set -euo pipefail
name=scripts/simulate_chat.sh
room=1
count=20
delay=0.5
url=${DATABASE_URL:-}
. "$(dirname "${BASH_SOURCE[0]}")/simulation.sh"

usage() {
  cat <<'TEXT'
Sends messages to a room of the demo, one after the other, from a few people in turn.

  scripts/simulate_chat.sh [-r ROOM] [-n COUNT] [-d SECONDS] [-u DATABASE_URL]

  -r ROOM           which room (1)
  -n COUNT          how many messages (20)
  -d SECONDS        from one message to the next (0.5)
  -u DATABASE_URL   where; by default $DATABASE_URL, else the demo that runs here
  -h                prints this
TEXT
}

while getopts :r:n:d:u:h option; do
  case $option in
  r) whole -r "$OPTARG" && room=$OPTARG ;;
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

PEOPLE=(Ines Tomas Wanda Bela)
LINES_SAID=(
  'Is the telescope still to be had?'
  'It was at eighty this morning.'
  'Somebody outbid me while I was typing.'
  'The chair is the better buy.'
  'Are the maps old, or only worn?'
)

statements() {
  local n=$1
  cat <<SQL
select 'message $n of $count in room ' || sent.room_id || ', ' || sent."from" || ': ' || sent.body
from send_message(:room, '${PEOPLE[(n - 1) % ${#PEOPLE[@]}]}', '${LINES_SAID[(n - 1) % ${#LINES_SAID[@]}]}') sent;
SQL
}

run --set "room=$room"
