#!/bin/sh
# Makes the Postgres packages of tests/ and tests/long/ usable after `npm ci`: npm archives cannot hold
# symbolic links, so each package brings a list of the links that its libraries need and a script that
# creates them, which `npm ci --ignore-scripts` leaves undone. Running it again changes nothing.
set -eu
cd "$(dirname "$0")/.."

for package in tests/node_modules/pg[0-9]* tests/long/node_modules/pg[0-9]*; do
    [ -d "$package" ] || continue
    (cd "$package" && node scripts/hydrate-symlinks.js)
    # A missing link shows itself only here, as a loader error: better now than in the first test.
    "$package/native/bin/postgres" --version
done
