//! What a client was told, and what it holds.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::Value;
use walcast::lsn::{Cursor, Lsn};

use super::Keeping;

/// A row: its number and a digest of its text.
pub type Row = (Option<i64>, u64);

/// What a client was told.
#[derive(Debug, Default)]
pub struct Account {
    /// Behind which it goes on.
    pub(super) cursor: Option<(Cursor, String)>,
    /// Sockets that were joined.
    pub joins: u64,
    /// Joins that went on where the last one ended.
    pub resumed: u64,
    /// Joins that could not, by the reason told.
    pub told: BTreeMap<String, u64>,
    /// Snapshots that came whole.
    pub snapshots: u64,
    /// Channels that the server gave up with `phx_error`.
    pub interrupted: u64,
    /// All changes.
    pub changes: u64,
    /// Changes that came twice.
    pub duplicated: u64,
    /// Changes that came behind a later one, but not twice.
    pub disordered: u64,
    /// By [`Keeping::Ids`].
    pub ids: Vec<i64>,
    /// By [`Keeping::Table`].
    pub table: BTreeMap<i64, Row>,
    /// The cursors since the last [`Account::forget`].
    pub cursors: Vec<Cursor>,
    /// Of these (from, to] the client was told that it may have missed changes.
    pub gaps: Vec<(Cursor, Cursor)>,
    /// The last refusal.
    pub refused: String,
}

impl Account {
    /// Whether it holds this table, and was told of something at or behind `end`.
    pub fn holds(&self, table: &BTreeMap<i64, Row>, end: Lsn) -> bool {
        self.cursor.as_ref().is_some_and(|(cursor, _)| cursor.commit >= end) && self.table == *table
    }

    /// Begins to count the cursors anew.
    pub fn forget(&mut self) {
        self.cursors.clear();
        self.gaps.clear();
    }

    /// How often it was told that it could not go on.
    pub fn losses_told(&self) -> u64 {
        self.told.values().sum()
    }

    pub(super) fn change(&mut self, event: &str, payload: &Value, keeping: &Keeping) {
        let cursor: Cursor = payload["cursor"].as_str().unwrap().parse().unwrap();
        self.count(cursor);
        match keeping {
            Keeping::Ids => self.ids.push(payload["record"]["id"].as_i64().unwrap()),
            Keeping::Table { .. } => apply(&mut self.table, event, payload),
        }
    }

    /// All up to here is told: `table`, if changes may have been missed that it shows.
    pub(super) fn begin(&mut self, position: Cursor, epoch: String, table: Option<BTreeMap<i64, Row>>) {
        if let Some(table) = table {
            self.table = table;
        }
        let from = self.cursor.as_ref().map_or(Cursor::default(), |(cursor, _)| *cursor);
        self.gaps.push((from, position));
        self.cursor = Some((position, epoch));
    }

    pub(super) fn count(&mut self, cursor: Cursor) {
        self.changes += 1;
        let last = self.cursor.as_ref().map(|(last, _)| *last);
        if last.is_some_and(|last| cursor <= last) {
            let twice = last == Some(cursor) || self.cursors.binary_search(&cursor).is_ok();
            let counted = if twice { &mut self.duplicated } else { &mut self.disordered };
            *counted += 1;
            return;
        }
        self.cursors.push(cursor);
        if let Some((last, _)) = &mut self.cursor {
            *last = cursor;
        }
    }
}

/// Makes of a table what a change makes of it.
pub(super) fn apply(table: &mut BTreeMap<i64, Row>, event: &str, payload: &Value) {
    if let Some(id) = payload["old_record"]["id"].as_i64() {
        table.remove(&id);
    }
    match event {
        "TRUNCATE" => table.clear(),
        "INSERT" | "UPDATE" => {
            let (id, row) = row(&payload["record"]);
            table.insert(id, row);
        }
        _ => {}
    }
}

pub(super) fn row(record: &Value) -> (i64, Row) {
    (record["id"].as_i64().unwrap(), (record["n"].as_i64(), digest(record["body"].as_str())))
}

/// The digest of a text.
pub fn digest(text: Option<&str>) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
