//! Messages as text that can be read beside tests/golden/changes.sql: tables and types by name, no
//! positions, times or transaction ids, so that two captures of the same SQL render the same.

use std::collections::HashMap;
use std::fmt::Write;

use super::capture::Capture;
use crate::pgoutput::{Column, Message, Oid, OldTuple, RelationMessage, Tuple, decode};

/// The built-in types that the SQL uses (`pg_type.dat` of every major).
const BUILT_IN: [(Oid, &str); 12] = [
    (16, "bool"),
    (17, "bytea"),
    (20, "int8"),
    (21, "int2"),
    (23, "int4"),
    (25, "text"),
    (701, "float8"),
    (1009, "text[]"),
    (1043, "varchar"),
    (1082, "date"),
    (1184, "timestamptz"),
    (1700, "numeric"),
];

struct Table {
    name: String,
    columns: Vec<String>,
    keys: Vec<bool>,
}

struct Renderer {
    tables: HashMap<Oid, Table>,
    types: HashMap<Oid, String>,
    out: String,
}

/// A line or more for each message, a blank line before each heading (`prefix` = `case`).
pub(super) fn render(capture: &Capture) -> String {
    let types = BUILT_IN.iter().map(|&(oid, name)| (oid, name.to_owned())).collect();
    let mut renderer = Renderer { tables: HashMap::new(), types, out: String::new() };
    for (index, captured) in capture.messages.iter().enumerate() {
        let message = decode(&captured.bytes).unwrap_or_else(|e| panic!("message {index}: {e}"));
        renderer.message(&message);
    }
    renderer.out
}

impl Renderer {
    fn line(&mut self, line: &str) {
        writeln!(self.out, "{line}").unwrap();
    }

    fn message(&mut self, message: &Message<'_>) {
        match message {
            Message::Begin { .. } => self.line("begin"),
            Message::Commit { .. } => self.line("commit"),
            Message::Origin { lsn, name } => self.line(&format!("  origin {} at {lsn}", quoted(name))),
            Message::Relation(relation) => self.relation(relation),
            Message::Type { oid, schema, name } => {
                let name = qualified(schema, name);
                self.line(&format!("  type {name}"));
                self.types.insert(*oid, name);
            }
            Message::Insert { relation, new } => {
                let table = &self.tables[relation];
                self.line(&format!("  insert {}: {}", table.name, table.row(new)));
            }
            Message::Update { relation, old, new } => {
                let table = &self.tables[relation];
                let text = match old {
                    None => format!("  update {}: {}", table.name, table.row(new)),
                    Some(old) => {
                        format!("  update {}: {} -> {}", table.name, table.old_row(old), table.row(new))
                    }
                };
                self.line(&text);
            }
            Message::Delete { relation, old } => {
                let table = &self.tables[relation];
                self.line(&format!("  delete {}: {}", table.name, table.old_row(old)));
            }
            Message::Truncate { cascade, restart_identity, relations } => {
                let names: Vec<&str> =
                    relations.iter().map(|relation| self.tables[relation].name.as_str()).collect();
                let restart = if *restart_identity { " restart identity" } else { "" };
                let cascade = if *cascade { " cascade" } else { "" };
                self.line(&format!("  truncate {}{restart}{cascade}", names.join(", ")));
            }
            Message::Logical { transactional: false, prefix: b"case", content, .. } => {
                self.line(&format!("\n-- {}", std::str::from_utf8(content).unwrap()));
            }
            Message::Logical { transactional, prefix, content, .. } => {
                let place = if *transactional { "  message" } else { "message outside of a transaction" };
                self.line(&format!("{place} {}: {}", quoted(prefix), value(content)));
            }
        }
    }

    fn relation(&mut self, relation: &RelationMessage<'_>) {
        let name = qualified(relation.schema, relation.table);
        self.line(&format!("  relation {name}, identity {:?}", relation.identity));
        let mut table = Table { name, columns: Vec::new(), keys: Vec::new() };
        for column in &relation.columns {
            let name = quoted(column.name);
            let modifier = match column.type_modifier {
                -1 => String::new(),
                modifier => format!(" modifier {modifier}"),
            };
            let key = if column.key { " key" } else { "" };
            let type_name = &self.types[&column.type_oid];
            let line = format!("    {name} {type_name}{modifier}{key}");
            self.line(&line);
            table.columns.push(name);
            table.keys.push(column.key);
        }
        self.tables.insert(relation.oid, table);
    }
}

impl Table {
    fn row(&self, tuple: &Tuple<'_>) -> String {
        assert_eq!(usize::from(tuple.columns()), self.columns.len(), "{}", self.name);
        let columns: Vec<String> = self
            .columns
            .iter()
            .zip(tuple.iter())
            .map(|(name, column)| match column {
                Column::Null => format!("{name}=null"),
                Column::Unchanged => format!("{name} unchanged"),
                Column::Text(text) => format!("{name}={}", value(text)),
                Column::Binary(bytes) => format!("{name}=binary {}", hex(bytes)),
            })
            .collect();
        assert_eq!(columns.len(), self.columns.len(), "{}", self.name);
        format!("({})", columns.join(", "))
    }

    /// A key's other columns are shown only if they hold what they must not.
    fn old_row(&self, old: &OldTuple<'_>) -> String {
        match old {
            OldTuple::Full(row) => format!("old {}", self.row(row)),
            OldTuple::Key(key) => {
                for (column, &is_key) in key.iter().zip(&self.keys) {
                    assert!(is_key || column == Column::Null, "{}: a value outside of the key", self.name);
                }
                format!("key {}", self.row(key))
            }
        }
    }
}

fn qualified(schema: &[u8], name: &[u8]) -> String {
    match schema {
        b"" => format!("built-in {}", quoted(name)),
        schema => format!("{}.{}", quoted(schema), quoted(name)),
    }
}

/// Plain words as they are, anything else in quotes.
fn quoted(name: &[u8]) -> String {
    let plain = !name.is_empty() && name.iter().all(|b| b.is_ascii_alphanumeric() || b"_[]".contains(b));
    if plain { String::from_utf8_lossy(name).into_owned() } else { format!("«{}»", readable(name)) }
}

fn value(bytes: &[u8]) -> String {
    const SHOWN: usize = 200;
    match bytes.get(..SHOWN) {
        None => format!("«{}»", readable(bytes)),
        Some(head) => format!("«{}» and {} bytes more", readable(&head[..25]), bytes.len() - 25),
    }
}

/// UTF-8 with control characters escaped; other bytes in hexadecimal.
fn readable(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text
            .chars()
            .map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() })
            .collect(),
        Err(_) => format!("not UTF-8: {}", bytes.escape_ascii()),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold("0x".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}
