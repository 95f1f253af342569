//! What the facts of the server and of the slot mean, and what to do about them.

use postgres_protocol::escape::escape_identifier;

use super::Finding;
use super::facts::{Server, Slot};
use super::report::size;
use crate::postgres::setup::{APPLICATION_NAME, OLDEST, OnSlotLost, Source, matches_synchronous, slot};

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

/// The slot, and what it holds back.
pub(super) fn slot(slot: Option<&Slot>, source: &Source, lag: u64) -> Vec<Finding> {
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
        let found = format!(
            "{name:?} is lost by {}: {CHANGES_LOST}",
            slot::invalidation(slot.invalidation.as_deref())
        );
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
        size(source.window_wal)
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
        _ if unread > source.window_wal.saturating_add(lag) => Finding::warning(
            "lag",
            format!("{log}; the rest is more than replication.lag_warn_bytes ({})", size(lag)),
            "see the log of walcast: a client, a huge transaction or the network holds it up, or it is not running",
        ),
        _ => Finding::ok("lag", log),
    });
    findings
}

/// Settings of the server that decide how long a slot lives, and who waits for whom.
pub(super) fn limits(server: &Server, slot: Option<&Slot>, source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    let keep = u64::try_from(server.max_slot_wal_keep_size);
    findings.push(match keep.map(|mebibytes| mebibytes.saturating_mul(1 << 20)) {
        Err(_) => Finding::warning(
            "max_slot_wal_keep_size",
            "no limit: while nobody reads the slot, the log grows until the disk is full",
            "ALTER SYSTEM SET max_slot_wal_keep_size = '20GB' (less than the disk has free), then SELECT pg_reload_conf()",
        ),
        Ok(bytes) if bytes <= source.window_wal => Finding::warning(
            "max_slot_wal_keep_size",
            format!("{}, no more than window.wal_bytes ({})", size(bytes), size(source.window_wal)),
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
