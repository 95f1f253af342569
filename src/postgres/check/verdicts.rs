//! What the facts mean, and what to do about them.

use postgres_protocol::escape::escape_identifier;

use super::facts::{Publication, Server, Slot};
use super::report::size;
use super::tables::{Identity, Kind, Table};
use super::{Bounds, Finding};
use crate::postgres::setup::{
    APPLICATION_NAME, OLDEST, OnSlotLost, Source, invalidation, matches_synchronous,
};

/// Names that a line repeats before it counts the others.
const NAMED: usize = 8;

const CHANGES_LOST: &str = "the changes that were not read yet cannot be had any more";

pub(super) fn pooler(words: &str) -> Finding {
    Finding::error(
        "way",
        words,
        "a connection pooler such as PgBouncer stands in between; write the server's own address in DATABASE_URL: \
         replication cannot go through a pooler",
    )
}

pub(super) fn version(server: &Server) -> Finding {
    let found = format!("PostgreSQL {}", server.version_text);
    if server.version / 10_000 < OLDEST {
        return Finding::error("server", found, format!("upgrade it to {OLDEST} or newer"));
    }
    if server.standby {
        let found = format!("{found}, a standby");
        return Finding::error("server", found, "write the primary's address in DATABASE_URL");
    }
    Finding::ok("server", found)
}

/// How the server was reached. `asked` is the port that we connected to.
pub(super) fn way(server: &Server, asked: u16) -> Finding {
    let behind = match server.port {
        Some(port) if port != i32::from(asked) => {
            format!(
                ", by port {asked} while it listens on {port}: a pooler or a forwarded port is in between"
            )
        }
        _ => String::new(),
    };
    let address = server.address.as_deref().unwrap_or("a Unix-domain socket");
    match &server.tls {
        Some(protocol) => Finding::ok("way", format!("{address}, {protocol}{behind}")),
        None if server.is_local => {
            Finding::ok("way", format!("{address}, in plain text on this machine{behind}"))
        }
        None => Finding::warning(
            "way",
            format!("{address}, in plain text{behind}"),
            "whoever is on the way reads the password's proof and every row; write sslmode=verify-full in DATABASE_URL",
        ),
    }
}

pub(super) fn wal_level(server: &Server) -> Finding {
    if server.wal_level == "logical" {
        return Finding::ok("wal_level", "logical");
    }
    let advice = "ALTER SYSTEM SET wal_level = logical; then restart Postgres (on a managed server it is a parameter: \
                  rds.logical_replication, cloudsql.logical_decoding)";
    Finding::error("wal_level", &*server.wal_level, advice)
}

pub(super) fn rights(server: &Server) -> Vec<Finding> {
    let role = escape_identifier(&server.role);
    let mut findings = Vec::new();
    if !server.may_replicate {
        findings.push(Finding::error(
            "rights",
            format!("the role {role} may not replicate"),
            format!("as a superuser: ALTER ROLE {role} REPLICATION"),
        ));
    }
    if !server.may_emit {
        findings.push(Finding::error(
            "rights",
            format!("the role {role} may not execute {}, which marks where the stream is live", server.emit),
            format!("as a superuser: GRANT EXECUTE ON FUNCTION {} TO {role}", server.emit),
        ));
    }
    if findings.is_empty() {
        let more = if server.is_superuser { ", and everything else: it is a superuser" } else { "" };
        findings.push(Finding::ok("rights", format!("{role} may replicate and write messages{more}")));
    }
    findings
}

pub(super) fn replication_session(refused: Option<&str>) -> Finding {
    match refused {
        None => Finding::ok("replication", "a replication session can be opened"),
        Some(words) => Finding::error(
            "replication",
            words,
            "pg_hba.conf must let this role in (a line for its database serves logical replication as well), and no \
             pooler may stand in between",
        ),
    }
}

/// Slots and senders.
pub(super) fn room(server: &Server, slot: Option<&Slot>, name: &str) -> Vec<Finding> {
    let of = |what: &'static str, used: i64, all: i64, setting: &str, needed: bool| {
        let found = format!("{used} of {all} in use");
        if needed && used >= all {
            let advice = format!("ALTER SYSTEM SET {setting} = {}; then restart Postgres", all + 4);
            return Finding::error(what, found, advice);
        }
        Finding::ok(what, found)
    };
    let reading = slot.is_some_and(|slot| slot.pid.is_some());
    let mut slots = of("slots", server.slots, server.max_slots, "max_replication_slots", slot.is_none());
    if slot.is_none() && slots.advice.is_some() {
        slots.found = format!("{}; none is left for {name:?}", slots.found);
    }
    vec![slots, of("senders", server.senders, server.max_senders, "max_wal_senders", !reading)]
}

pub(super) fn publication(
    server: &Server,
    publication: Option<&Publication>,
    source: &Source,
    tables: &[Table],
) -> Vec<Finding> {
    let name = escape_identifier(&source.publication);
    let Some(publication) = publication else {
        let create = creation(&name, tables);
        let found = format!("there is no publication {name}");
        return vec![if source.create_publication && server.may_create {
            Finding::ok("publication", format!("{found}; walcast creates it:\n{create}"))
        } else {
            Finding::error("publication", found, format!("as a superuser or the tables' owner:\n{create}"))
        }];
    };
    let count = tables.iter().filter(|table| table.published).count();
    let all = if publication.all_tables { "all tables, which are" } else { "" };
    let found = format!("{name} publishes {all} {count}").replace("  ", " ");
    if count == 0 {
        let advice = format!("ALTER PUBLICATION {name} ADD TABLE ..");
        return vec![Finding::warning(
            "publication",
            format!("{name} publishes no table: no change will ever come"),
            advice,
        )];
    }
    let mut findings = vec![Finding::ok("publication", found)];
    if !publication.left_out.is_empty() {
        findings.push(Finding::warning(
            "operations",
            format!("{name} leaves out: {}", publication.left_out.join(", ")),
            format!("ALTER PUBLICATION {name} SET (publish = 'insert, update, delete, truncate')"),
        ));
    }
    let partitioned = !publication.via_root && source.create_publication;
    if partitioned && !publication.all_tables {
        findings.push(Finding::ok("partitions", "changes of partitions are told as the partitions' own"));
    }
    findings
}

/// As [`crate::postgres::setup`] would create it: without tables whose writes would fail.
fn creation(name: &str, tables: &[Table]) -> String {
    let with = "WITH (publish_via_partition_root = true)";
    let own: Vec<&Table> = tables.iter().filter(|table| table.kind == Kind::Table).collect();
    if own.iter().all(|table| table.identity != Identity::Nothing) {
        return format!("CREATE PUBLICATION {name} FOR ALL TABLES {with}");
    }
    let named = own.iter().filter(|table| table.identity != Identity::Nothing);
    let named: Vec<&str> = named.map(|table| table.name.as_str()).collect();
    if named.is_empty() {
        return format!("CREATE PUBLICATION {name} {with}");
    }
    format!("CREATE PUBLICATION {name} FOR TABLE {} {with}", named.join(", "))
}

/// What tells which row changed, and what that costs.
pub(super) fn identities(publication: Option<&Publication>, tables: &[Table]) -> Vec<Finding> {
    let of = |identity| -> Vec<&str> {
        let published = tables.iter().filter(|table| table.published && table.identity == identity);
        published.map(|table| table.name.as_str()).collect()
    };
    let mut findings = Vec::new();
    let (nothing, full, key) = (of(Identity::Nothing), of(Identity::Full), of(Identity::Key));
    if let Some(first) =
        nothing.first().filter(|_| publication.is_some_and(|publication| publication.updates_or_deletes))
    {
        findings.push(Finding::error(
            "identity",
            format!(
                "no replica identity: {}. The application's UPDATEs and DELETEs on them fail",
                some(&nothing)
            ),
            format!("give each a primary key, or ALTER TABLE {first} REPLICA IDENTITY FULL"),
        ));
    }
    if !full.is_empty() {
        findings.push(Finding::ok(
            "identity",
            format!(
                "FULL: {}. Every old value is known; each UPDATE and DELETE writes the whole old row to the log",
                some(&full)
            ),
        ));
    }
    if !key.is_empty() {
        findings.push(Finding::ok(
            "identity",
            format!(
                "key: {}. Costs nothing; old_record holds the key alone, and a row that leaves a filter on another \
                 column is not told",
                some(&key)
            ),
        ));
    }
    findings
}

/// What no change of ever arrives, or not whole.
pub(super) fn unseen(
    publication: Option<&Publication>,
    name: &str,
    server: &Server,
    tables: &[Table],
) -> Vec<Finding> {
    let Some(publication) = publication else { return Vec::new() };
    let publication_name = escape_identifier(name);
    let these = |wanted: &dyn Fn(&Table) -> bool| -> Vec<&str> {
        tables.iter().filter(|table| wanted(table)).map(|table| table.name.as_str()).collect()
    };
    let mut findings = Vec::new();
    let mut tell = |found: &[&str], what: &str, advice: String| {
        if !found.is_empty() {
            findings.push(Finding::warning("unseen", format!("{what}: {}", some(found)), advice));
        }
    };
    let outside = these(&|table| table.kind == Kind::Table && !table.published);
    let first = outside.first().copied().unwrap_or_default();
    tell(
        &outside,
        "not published",
        format!("if they are to be followed: ALTER PUBLICATION {publication_name} ADD TABLE {first}"),
    );
    let unlogged = these(&|table| table.kind == Kind::Unlogged);
    let first = unlogged.first().copied().unwrap_or_default();
    tell(
        &unlogged,
        "unlogged, so that the log knows nothing of them",
        format!("if they are to be followed: ALTER TABLE {first} SET LOGGED"),
    );
    tell(
        &these(&|table| table.kind == Kind::Foreign),
        "foreign tables, whose log is another server's",
        "none here; live queries over them are refused".to_owned(),
    );
    tell(
        &these(&|table| table.kind == Kind::MaterializedView),
        "materialized views, whose refresh is not in the log",
        "follow the tables that they are made of; live queries over them are refused".to_owned(),
    );
    tell(
        &these(&|table| table.published && table.column_list),
        "some columns are not published (a column list)",
        format!(
            "if all are to be followed: ALTER PUBLICATION {publication_name} SET TABLE .., without a list"
        ),
    );
    tell(
        &these(&|table| table.published && table.row_filter),
        "some rows are not published (a row filter)",
        format!(
            "if all are to be followed: ALTER PUBLICATION {publication_name} SET TABLE .., without WHERE"
        ),
    );
    let generated: Vec<String> = tables
        .iter()
        .filter(|table| table.published && table.kind == Kind::Table && !table.column_list)
        .flat_map(|table| {
            table
                .generated_columns
                .iter()
                .map(|column| format!("{}.{}", table.name, escape_identifier(column)))
        })
        .collect();
    let generated: Vec<&str> = generated.iter().map(String::as_str).collect();
    let advice = if server.version < 180_000 {
        "none before PostgreSQL 18, which publishes stored ones; clients have to compute them".to_owned()
    } else if publication.generated {
        "these are virtual; only stored ones can be published".to_owned()
    } else {
        format!("stored ones: ALTER PUBLICATION {publication_name} SET (publish_generated_columns = stored)")
    };
    tell(&generated, "generated columns that are not published", advice);
    findings
}

/// The slot, and what it holds back.
pub(super) fn slot(slot: Option<&Slot>, source: &Source, bounds: Bounds) -> Vec<Finding> {
    let name = &source.slot;
    let drop = format!("SELECT pg_drop_replication_slot('{name}')");
    let Some(slot) = slot else {
        let kind = if source.temporary { "a temporary one at each connection" } else { "it when it starts" };
        return vec![Finding::ok("slot", format!("there is no slot {name:?}; walcast creates {kind}"))];
    };
    if slot.plugin.as_deref() != Some("pgoutput") || slot.database.as_deref() != Some(slot.here.as_str()) {
        let found = format!(
            "{name:?} belongs to another use (plugin {}, database {})",
            slot.plugin.as_deref().unwrap_or("none"),
            slot.database.as_deref().unwrap_or("none")
        );
        return vec![Finding::error("slot", found, "choose another replication.slot")];
    }
    if slot.wal_status.as_deref() == Some("lost") {
        let found =
            format!("{name:?} is lost by {}: {CHANGES_LOST}", invalidation(slot.invalidation.as_deref()));
        return vec![match source.on_slot_lost {
            OnSlotLost::Stop => Finding::error("slot", found, format!("{drop}; then restart walcast")),
            OnSlotLost::Recreate => Finding::warning(
                "slot",
                found,
                "walcast makes it anew (replication.on_slot_lost) when it reads it next",
            ),
        }];
    }
    let kept = u64::try_from(slot.kept).unwrap_or_default();
    let unread = u64::try_from(slot.unconfirmed).unwrap_or_default();
    let log = format!(
        "Postgres keeps {} of log for it, of which {} are not acknowledged; up to window.wal_bytes ({}) of these are \
         the replay window's, and no lag",
        size(kept),
        size(unread),
        size(bounds.window)
    );
    let mut findings = vec![match (slot.pid, &slot.reader) {
        (Some(pid), reader)
            if reader.as_deref().is_some_and(|reader| reader.starts_with(APPLICATION_NAME)) =>
        {
            Finding::ok(
                "slot",
                format!("{name:?} is read by {} (pid {pid})", reader.as_deref().unwrap_or_default()),
            )
        }
        (Some(pid), reader) => Finding::warning(
            "slot",
            format!(
                "{name:?} is read by pid {pid} ({}), which does not call itself walcast",
                reader.as_deref().unwrap_or("unknown")
            ),
            "choose another replication.slot, if that is somebody else",
        ),
        (None, _) if slot.temporary => Finding::warning(
            "slot",
            format!("{name:?} is another session's temporary slot"),
            "choose another replication.slot",
        ),
        (None, _) => {
            let since =
                slot.inactive_since.as_ref().map(|since| format!(" since {since}")).unwrap_or_default();
            Finding::warning(
                "slot",
                format!("nobody reads {name:?}{since}; the log that is kept for it grows"),
                "start walcast, or run `walcast remove` if it left for good",
            )
        }
    }];
    findings.push(match slot.wal_status.as_deref() {
        Some("unreserved") => Finding::warning(
            "lag",
            format!("{log}; it is about to be lost at the next checkpoint"),
            "ALTER SYSTEM SET max_slot_wal_keep_size to a larger value, then SELECT pg_reload_conf()",
        ),
        _ if unread > bounds.window.saturating_add(bounds.lag) => Finding::warning(
            "lag",
            format!("{log}; the rest is more than replication.lag_warn_bytes ({})", size(bounds.lag)),
            "see the log of walcast: a client, a huge transaction or the network holds it up, or it is not running",
        ),
        _ => Finding::ok("lag", log),
    });
    findings
}

/// Settings of the server that decide how long a slot lives, and who waits for whom.
pub(super) fn limits(server: &Server, slot: Option<&Slot>, source: &Source, bounds: Bounds) -> Vec<Finding> {
    let mut findings = Vec::new();
    let keep = u64::try_from(server.max_slot_wal_keep_size);
    findings.push(match keep.map(|mebibytes| mebibytes.saturating_mul(1 << 20)) {
        Err(_) => Finding::warning(
            "max_slot_wal_keep_size",
            "no limit: while nobody reads the slot, the log grows until the disk is full",
            "ALTER SYSTEM SET max_slot_wal_keep_size = '20GB' (less than the disk has free), then SELECT pg_reload_conf()",
        ),
        Ok(bytes) if bytes <= bounds.window => Finding::warning(
            "max_slot_wal_keep_size",
            format!("{}, no more than window.wal_bytes ({})", size(bytes), size(bounds.window)),
            "the replay window alone may lose the slot: lower window.wal_bytes, or raise this",
        ),
        Ok(bytes) => {
            let left = slot.and_then(|slot| slot.left).and_then(|left| u64::try_from(left).ok());
            let left = left.map(|left| format!(", {} before this slot is lost", size(left))).unwrap_or_default();
            Finding::ok("max_slot_wal_keep_size", format!("{}{left}", size(bytes)))
        }
    });
    findings.push(match server.wal_sender_timeout {
        0 => Finding::warning(
            "wal_sender_timeout",
            "0: Postgres never gives a vanished reader up, and a successor would wait for the slot",
            "ALTER SYSTEM SET wal_sender_timeout = '60s', then SELECT pg_reload_conf()",
        ),
        milliseconds => Finding::ok("wal_sender_timeout", format!("{milliseconds} ms")),
    });
    if let Some(idle) = server.idle_slot_timeout.as_ref().filter(|idle| *idle != "0") {
        findings.push(Finding::warning(
            "idle_replication_slot_timeout",
            format!("{idle}: a slot that nobody reads for so long is lost, and with it {CHANGES_LOST}"),
            "no shorter than walcast may ever be away; 0 switches it off",
        ));
    }
    findings.push(if matches_synchronous(&server.synchronous, APPLICATION_NAME) {
        Finding::error(
            "synchronous_standby_names",
            format!("{:?} would make the application's commits wait for walcast", server.synchronous),
            "list the standbys by name",
        )
    } else {
        Finding::ok(
            "synchronous_standby_names",
            if server.synchronous.is_empty() { "none" } else { "not us" },
        )
    });
    if server.standbys > 0 && !source.temporary && slot.is_some_and(|slot| slot.failover != Some(true)) {
        let name = &source.slot;
        findings.push(Finding::warning(
            "failover",
            "there are standbys, and the slot does not follow to them: after a promotion clients are told that they \
             may have missed changes",
            if server.version >= 170_000 {
                format!("create the slot by hand: SELECT pg_create_logical_replication_slot('{name}', 'pgoutput', failover => true)")
            } else {
                "slots follow from PostgreSQL 17 on".to_owned()
            },
        ));
    }
    findings
}

/// The first few names, and how many more there are.
fn some(names: &[&str]) -> String {
    let shown = names.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_are_cut() {
        let names: Vec<String> = (0..11).map(|number| format!("t{number}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert_eq!(some(&names[..2]), "t0, t1");
        assert_eq!(some(&names), "t0, t1, t2, t3, t4, t5, t6, t7 and 3 more");
    }
}
