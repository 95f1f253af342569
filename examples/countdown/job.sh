#!/bin/sh
# Counts down from 10 and tells everyone who listens to the topic `countdown`.
#     sh job.sh [DATABASE_URL]       PAUSE=0 goes faster
set -eu
url=${1:-${DATABASE_URL:?which database?}}

# One connection for the whole job; each statement is a transaction of its own, sent when it commits.
{
  left=10
  while [ "$left" -gt 0 ]; do
    echo "select walcast.send(payload => '{\"left\": $left}', event => 'tick', topic => 'countdown');"
    left=$((left - 1))
    sleep "${PAUSE:-1}"
  done
  echo "select walcast.send(payload => '{}', event => 'over', topic => 'countdown');"
} | psql --no-psqlrc --quiet --output /dev/null --set ON_ERROR_STOP=1 --dbname "$url"
