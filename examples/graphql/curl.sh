#!/bin/sh
# Prints the answers to a query by GET, a query by POST, and a mutation.
#     sh curl.sh [URL]
set -eu
url=${1:-${WALCAST_URL:-http://localhost:4000}}

ask() { curl -sS "$url/graphql" -H 'Content-Type: application/json' -d "$1"; echo; }

curl -sS -G "$url/graphql" --data-urlencode 'query={ auctions { title highestBid { amount } } }'
echo
ask '{"query": "query($id: ID!) { auction(id: $id) { title bids { amount } } }", "variables": {"id": "1"}}'
ask '{"query": "mutation { sendMessage(input: {roomId: \"1\", from: \"curl\", body: \"Hello\"}) { from body } }"}'
