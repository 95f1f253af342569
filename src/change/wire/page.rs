//! A page of a snapshot, as clients see it.

use bytes::Bytes;

use super::super::Relation;
use super::super::copy;
use super::super::value::{Profile, write_string};
use super::write_member;
use crate::pgoutput::Column as Value;

/// A row that does not have the relation's columns.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("a row has {have} columns where {need} were asked for")]
pub struct ColumnCount {
    /// What was asked for.
    pub need: usize,
    /// What came.
    pub have: usize,
}

/// Rows of one table, gathered: `{"schema":..,"table":..,"columns":[..],"records":[..]}`.
#[derive(Debug)]
pub struct Page<'a> {
    relation: &'a Relation,
    profile: Profile,
    out: Vec<u8>,
    rows: u64,
}

impl<'a> Page<'a> {
    /// An empty page.
    #[must_use]
    pub const fn new(relation: &'a Relation, profile: Profile) -> Self {
        Self { relation, profile, out: Vec::new(), rows: 0 }
    }

    /// Rows on it.
    #[must_use]
    pub const fn rows(&self) -> u64 {
        self.rows
    }

    /// Bytes of it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether there is no row on it.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Adds a row of `COPY`'s text format, without its line's end.
    ///
    /// # Errors
    /// When it has not the relation's columns; then nothing of the page is of use.
    pub fn push(&mut self, line: &[u8]) -> Result<(), ColumnCount> {
        if self.rows == 0 {
            self.begin();
        }
        self.out.extend_from_slice(if self.rows == 0 { b"{" } else { b",{" });
        self.rows += 1;
        let (columns, keys) = (&self.relation.columns, &self.relation.layout.keys);
        let need = columns.len();
        let mut have = 0;
        let mut first = true;
        // A row without columns is an empty line.
        for value in copy::columns(line).take(if line.is_empty() && need == 0 { 0 } else { usize::MAX }) {
            if let (Some(column), Some(key)) = (columns.get(have), keys.get(have)) {
                let value = value.as_ref().map_or(Value::Null, |text| Value::Text(text));
                write_member(&mut self.out, &mut first, key, column, value, self.profile);
            }
            have += 1;
        }
        self.out.push(b'}');
        if have == need { Ok(()) } else { Err(ColumnCount { need, have }) }
    }

    /// The page's JSON; the next one begins.
    pub fn take(&mut self) -> Bytes {
        if self.rows == 0 {
            self.begin();
        }
        self.rows = 0;
        let mut out = std::mem::take(&mut self.out);
        out.extend_from_slice(b"]}");
        out.into()
    }

    fn begin(&mut self) {
        let Relation { schema, table, layout, .. } = self.relation;
        self.out.extend_from_slice(b"{\"schema\":");
        write_string(&mut self.out, schema.as_bytes());
        self.out.extend_from_slice(b",\"table\":");
        write_string(&mut self.out, table.as_bytes());
        self.out.extend_from_slice(b",\"columns\":");
        self.out.extend_from_slice(layout.columns(self.profile));
        self.out.extend_from_slice(b",\"records\":[");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::Column;
    use crate::change::types::builtin;
    use crate::pgoutput::ReplicaIdentity;

    #[test]
    fn rows_are_written_as_changes_write_them() {
        let column = |name: &str, type_oid, key| Column {
            name: name.into(),
            key,
            type_oid,
            type_modifier: -1,
            info: builtin(type_oid).unwrap(),
        };
        let columns = vec![column("id", 20, true), column("name", 25, false), column("tags", 1009, false)];
        let relation = Relation::new(1, "public".into(), "t".into(), ReplicaIdentity::Default, columns);
        let mut page = Page::new(&relation, Profile::Exact);
        page.push(b"9007199254740993\ta\\tb\t{x,NULL}").unwrap();
        page.push(b"2\t\\N\t{}").unwrap();
        assert_eq!(page.rows(), 2);
        let json: serde_json::Value = serde_json::from_slice(&page.take()).unwrap();
        assert_eq!(json["columns"][0]["name"], "id");
        assert_eq!(json["records"][0]["id"], "9007199254740993");
        assert_eq!(json["records"][0]["name"], "a\tb");
        assert_eq!(json["records"][1], serde_json::json!({"id": "2", "name": null, "tags": []}));
        let none: serde_json::Value = serde_json::from_slice(&page.take()).unwrap();
        assert_eq!(none["records"], serde_json::json!([]));
        assert_eq!(page.push(b"1\t2"), Err(ColumnCount { need: 3, have: 2 }));
    }
}
