//! The JSON of a change, as clients see it: the only place that knows it.
//!
//! The shape is the early Supabase Realtime server's, which every generation of its clients reads, plus
//! `cursor`, and where they apply `unchanged` and `left`. docs/protocol.md describes it for users.

pub mod page;

use std::io::Write as _;
use std::sync::Arc;

use super::value::{Profile, write_string, write_value};
use super::{Action, Change, Column, OldRow, Relation, Row};
use crate::pgoutput::Column as Value;

/// What follows the columns of a change.
const BEHIND_COLUMNS: &[u8] = b",\"commit_timestamp\":\"";

/// The parts of the JSON that all changes of one relation share, written once per relation.
#[derive(Debug)]
pub struct Layout {
    /// From the payload's begin to the timestamp: its `columns`, by profile.
    head: [Box<[u8]>; Profile::COUNT],
    /// From the cursor to the event: no errors, the schema and the table.
    place: Box<[u8]>,
    /// `"name":` for each column.
    keys: Box<[Box<[u8]>]>,
}

impl Layout {
    /// The shared parts of a relation.
    #[must_use]
    pub fn of(schema: &str, table: &str, columns: &[Column]) -> Self {
        let mut place = b"\",\"errors\":null,\"schema\":".to_vec();
        write_string(&mut place, schema.as_bytes());
        place.extend_from_slice(b",\"table\":");
        write_string(&mut place, table.as_bytes());
        place.extend_from_slice(b",\"type\":\"");
        let keys = columns.iter().map(|column| {
            let mut key = Vec::with_capacity(column.name.len() + 3);
            write_string(&mut key, column.name.as_bytes());
            key.push(b':');
            key.into_boxed_slice()
        });
        Self {
            head: Profile::ALL.map(|profile| head(columns, profile)),
            place: place.into(),
            keys: keys.collect(),
        }
    }

    fn head(&self, profile: Profile) -> &[u8] {
        self.head.get(profile.index()).map_or(b"", |json| json)
    }

    /// The array of the columns.
    fn columns(&self, profile: Profile) -> &[u8] {
        let head = self.head(profile);
        let head = head.strip_prefix(b"{\"columns\":").unwrap_or(head);
        head.strip_suffix(BEHIND_COLUMNS).unwrap_or(head)
    }
}

fn head(columns: &[Column], profile: Profile) -> Box<[u8]> {
    let mut out = b"{\"columns\":[".to_vec();
    for (index, column) in columns.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(if column.key {
            b"{\"flags\":[\"key\"],\"name\":"
        } else {
            b"{\"flags\":[],\"name\":"
        });
        write_string(&mut out, column.name.as_bytes());
        out.extend_from_slice(b",\"type\":");
        write_string(&mut out, column.info.wire_name(profile).as_bytes());
        // The early server printed the modifier as it lies on the wire: -1 is 4294967295.
        let modifier = u32::from_ne_bytes(column.type_modifier.to_ne_bytes());
        let _ = write!(out, ",\"type_modifier\":{modifier}}}");
    }
    out.push(b']');
    out.extend_from_slice(BEHIND_COLUMNS);
    out.into_boxed_slice()
}

/// A commit's time, microseconds since 2000-01-01 UTC, as ISO 8601: `2026-01-02T03:04:05.678901Z`.
#[must_use]
pub fn commit_timestamp(postgres_micros: i64) -> Arc<str> {
    // 2000-01-01 in Unix time.
    const POSTGRES_EPOCH_MICROS: i64 = 946_684_800_000_000;
    let micros = postgres_micros.saturating_add(POSTGRES_EPOCH_MICROS);
    let time = jiff::Timestamp::from_microsecond(micros).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    format!("{time:.6}").into()
}

/// How a change is told to a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Telling {
    /// As what it is.
    Plain,
    /// An update that took the row out of the subscription's filter: told as a DELETE.
    LeftFilter,
}

impl Change {
    /// The event's name: `INSERT`, `UPDATE`, `DELETE` or `TRUNCATE`.
    #[must_use]
    pub const fn event(&self, telling: Telling) -> &'static str {
        match (&self.action, telling) {
            (Action::Insert { .. }, _) => "INSERT",
            (Action::Update { .. }, Telling::Plain) => "UPDATE",
            (Action::Delete { .. }, _) | (Action::Update { .. }, Telling::LeftFilter) => "DELETE",
            (Action::Truncate, _) => "TRUNCATE",
        }
    }

    /// Appends the payload of this change: one JSON object.
    pub fn write_payload(
        &self,
        out: &mut Vec<u8>,
        commit_timestamp: &str,
        telling: Telling,
        profile: Profile,
    ) {
        let relation = &*self.relation;
        out.extend_from_slice(relation.layout.head(profile));
        // Neither the timestamp nor the cursor has characters that JSON escapes.
        out.extend_from_slice(commit_timestamp.as_bytes());
        out.extend_from_slice(b"\",\"cursor\":\"");
        self.cursor.write(out);
        out.extend_from_slice(&relation.layout.place);
        out.extend_from_slice(self.event(telling).as_bytes());
        out.push(b'"');
        match (&self.action, telling) {
            (Action::Insert { new }, _) => write_record(out, relation, new, None, profile),
            (Action::Update { old, new }, Telling::Plain) => {
                write_record(out, relation, new, old.as_ref(), profile);
                if let Some(old) = old {
                    write_old_record(out, relation, old, profile);
                }
            }
            (Action::Update { old, .. }, Telling::LeftFilter) => {
                if let Some(old) = old {
                    write_old_record(out, relation, old, profile);
                }
                out.extend_from_slice(b",\"left\":\"filter\"");
            }
            (Action::Delete { old }, _) => write_old_record(out, relation, old, profile),
            (Action::Truncate, _) => {}
        }
        out.push(b'}');
    }
}

/// `"record":{..}`, and `"unchanged":[..]` for large values that the log did not repeat.
fn write_record(out: &mut Vec<u8>, relation: &Relation, new: &Row, old: Option<&OldRow>, profile: Profile) {
    out.extend_from_slice(b",\"record\":{");
    let mut unchanged: Vec<&Column> = Vec::new();
    let mut first = true;
    for (index, value) in new.columns().enumerate() {
        let (Some(column), Some(key)) = (relation.columns.get(index), relation.layout.keys.get(index)) else {
            break;
        };
        let value = match (value, old) {
            // The old row holds what the new one did not repeat: all of it under FULL, else the key, which is
            // logged with every update of a row whose key is stored outside of it.
            (Value::Unchanged, Some(old)) if old.knows(column) => {
                old.row().columns().nth(index).unwrap_or(Value::Unchanged)
            }
            (value, _) => value,
        };
        if value == Value::Unchanged {
            unchanged.push(column);
            continue;
        }
        write_member(out, &mut first, key, column, value, profile);
    }
    out.push(b'}');
    if unchanged.is_empty() {
        return;
    }
    out.extend_from_slice(b",\"unchanged\":[");
    for (index, column) in unchanged.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_string(out, column.name.as_bytes());
    }
    out.push(b']');
}

/// `"old_record":{..}`: the columns that the log really knows of the old row.
fn write_old_record(out: &mut Vec<u8>, relation: &Relation, old: &OldRow, profile: Profile) {
    out.extend_from_slice(b",\"old_record\":{");
    let mut first = true;
    for (index, value) in old.row().columns().enumerate() {
        let (Some(column), Some(key)) = (relation.columns.get(index), relation.layout.keys.get(index)) else {
            break;
        };
        if old.knows(column) {
            write_member(out, &mut first, key, column, value, profile);
        }
    }
    out.push(b'}');
}

fn write_member(
    out: &mut Vec<u8>,
    first: &mut bool,
    key: &[u8],
    column: &Column,
    value: Value<'_>,
    profile: Profile,
) {
    if !std::mem::take(first) {
        out.push(b',');
    }
    out.extend_from_slice(key);
    match value {
        Value::Text(text) => write_value(out, &column.info, text, profile),
        // The stream is asked for text; bytes are told as what they are rather than lost.
        Value::Binary(bytes) => write_string(out, bytes),
        Value::Null | Value::Unchanged => out.extend_from_slice(b"null"),
    }
}
