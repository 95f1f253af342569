#!/bin/sh
# Prints the results of a live query as they come.
#     sh curl.sh [URL]
set -eu
url=${1:-${WALCAST_URL:-http://localhost:4000}}

exec curl -sS -N -G "$url/graphql" -H 'Accept: text/event-stream' --data-urlencode 'query=
  query GetCurrentAuctionBids @live {
    auction(id: "1") { bids { amount } highestBid { amount } id title }
  }'
