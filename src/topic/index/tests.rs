//! The index against an oracle that asks every topic about every change, straight from its meaning.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::change::types::builtin;
use crate::change::{Column, OldRow, Relation, Row};
use crate::lsn::Cursor;
use crate::pgoutput::ReplicaIdentity;

const SCHEMAS: [&str; 2] = ["a", "b"];
const TABLES: [&str; 2] = ["x", "y"];
/// The columns of every table, with the OIDs of int8, numeric and text (`pg_type.dat`). The first is the key.
const COLUMNS: [(&str, u32); 3] = [("id", 20), ("price", 1700), ("word", 25)];
/// What each column may hold, and in the same place the number of its equality class: numerics print
/// their scale, which does not matter to `=`.
const VALUES: [[(&str, u8); 4]; 3] = [
    [("1", 1), ("2", 2), ("10", 3), ("-1", 4)],
    [("1", 1), ("1.00", 1), ("1.5", 2), ("1.50", 2)],
    [("1", 1), ("1.00", 2), ("", 3), ("1 ", 4)],
];

/// A column of a row: a place in [`VALUES`], NULL, or not repeated by the log.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Cell {
    Value(usize),
    Null,
    Unchanged,
}

#[derive(Clone, Copy, Debug)]
enum Wanted {
    All,
    Schema(usize),
    Table(usize, usize),
    Equals(usize, usize, usize, usize),
}

#[derive(Clone, Debug)]
enum Happening {
    Insert([Cell; 3]),
    Update { old: Option<[Cell; 3]>, new: [Cell; 3] },
    Delete([Cell; 3]),
    Truncate,
}

#[derive(Clone, Debug)]
struct Event {
    schema: usize,
    table: usize,
    /// REPLICA IDENTITY FULL; else the key alone.
    full: bool,
    happening: Happening,
}

fn pattern(wanted: Wanted) -> Pattern {
    match wanted {
        Wanted::All => Pattern::All,
        Wanted::Schema(schema) => Pattern::Schema(SCHEMAS[schema].into()),
        Wanted::Table(schema, table) => Pattern::Table(SCHEMAS[schema].into(), TABLES[table].into()),
        Wanted::Equals(schema, table, column, value) => {
            let info = builtin(COLUMNS[column].1).expect("a built-in type");
            Pattern::Equals {
                schema: SCHEMAS[schema].into(),
                table: TABLES[table].into(),
                column: COLUMNS[column].0.into(),
                key: equality_key(&info, VALUES[column][value].0.as_bytes()).into(),
            }
        }
    }
}

/// A row as pgoutput's tuple data has it (PostgreSQL manual, 54.9).
fn row(cells: [Cell; 3]) -> Row {
    let mut bytes = Vec::new();
    for (cell, values) in cells.iter().zip(VALUES) {
        match cell {
            Cell::Value(place) => {
                let text = values[*place].0;
                bytes.push(b't');
                bytes.extend_from_slice(&u32::try_from(text.len()).expect("short").to_be_bytes());
                bytes.extend_from_slice(text.as_bytes());
            }
            Cell::Null => bytes.push(b'n'),
            Cell::Unchanged => bytes.push(b'u'),
        }
    }
    Row(bytes.into())
}

fn change(event: &Event) -> Change {
    let column = |(index, (name, oid)): (usize, (&str, u32))| Column {
        name: name.into(),
        key: event.full || index == 0,
        type_oid: oid,
        type_modifier: -1,
        info: builtin(oid).expect("a built-in type"),
    };
    let columns: Vec<Column> = COLUMNS.into_iter().enumerate().map(column).collect();
    let identity = if event.full { ReplicaIdentity::Full } else { ReplicaIdentity::Default };
    let (schema, table) = (SCHEMAS[event.schema].into(), TABLES[event.table].into());
    let relation = Relation::new(1, schema, table, identity, columns);
    let old = |cells| if event.full { OldRow::Full(row(cells)) } else { OldRow::Key(row(key_only(cells))) };
    let action = match event.happening {
        Happening::Insert(new) => Action::Insert { new: row(new) },
        Happening::Update { old: cells, new } => Action::Update { old: cells.map(old), new: row(new) },
        Happening::Delete(cells) => Action::Delete { old: old(cells) },
        Happening::Truncate => Action::Truncate,
    };
    Change { cursor: Cursor::default(), relation: Arc::new(relation), action }
}

/// The log writes NULL for what is not part of the key.
fn key_only(cells: [Cell; 3]) -> [Cell; 3] {
    [cells[0], Cell::Null, Cell::Null]
}

/// What one topic is told of one change, by the rules of docs/protocol.md.
fn told(wanted: Wanted, event: &Event) -> Option<Telling> {
    let (schema, table, filter) = match wanted {
        Wanted::All => return Some(Telling::Plain),
        Wanted::Schema(schema) => (schema, None, None),
        Wanted::Table(schema, table) => (schema, Some(table), None),
        Wanted::Equals(schema, table, column, value) => (schema, Some(table), Some((column, value))),
    };
    if schema != event.schema || table.is_some_and(|table| table != event.table) {
        return None;
    }
    let Some((column, value)) = filter else { return Some(Telling::Plain) };
    let equal = |cell: Cell| match cell {
        Cell::Value(place) => Some(VALUES[column][place].1 == VALUES[column][value].1),
        Cell::Null => Some(false),
        Cell::Unchanged => None,
    };
    let known_before = event.full || column == 0;
    match event.happening {
        Happening::Insert(new) => (equal(new[column]) == Some(true)).then_some(Telling::Plain),
        Happening::Delete(old) => {
            (known_before && equal(old[column]) == Some(true)).then_some(Telling::Plain)
        }
        Happening::Truncate => Some(Telling::Plain),
        Happening::Update { old, new } => {
            let before = old.filter(|_| known_before).and_then(|old| equal(old[column]));
            // The old row may have what the new one does not repeat; else any value is possible.
            let after = equal(new[column]).or(before);
            match (before, after) {
                (_, Some(true) | None) => Some(Telling::Plain),
                (Some(true), Some(false)) => Some(Telling::LeftFilter),
                (_, Some(false)) => None,
            }
        }
    }
}

fn wanted() -> impl Strategy<Value = Wanted> {
    prop_oneof![
        1 => Just(Wanted::All),
        1 => (0..2_usize).prop_map(Wanted::Schema),
        1 => (0..2_usize, 0..2_usize).prop_map(|(schema, table)| Wanted::Table(schema, table)),
        6 => (0..2_usize, 0..2_usize, 0..3_usize, 0..4_usize).prop_map(|(s, t, c, v)| Wanted::Equals(s, t, c, v)),
    ]
}

fn cells(unchanged: bool) -> impl Strategy<Value = [Cell; 3]> {
    let cell = move || {
        prop_oneof![
            6 => (0..4_usize).prop_map(Cell::Value),
            1 => Just(Cell::Null),
            1 => Just(if unchanged { Cell::Unchanged } else { Cell::Null }),
        ]
    };
    [cell(), cell(), cell()]
}

fn event() -> impl Strategy<Value = Event> {
    let happening = prop_oneof![
        1 => cells(false).prop_map(Happening::Insert),
        4 => (proptest::option::weighted(0.7, cells(false)), cells(true))
            .prop_map(|(old, new)| Happening::Update { old, new }),
        1 => cells(false).prop_map(Happening::Delete),
        1 => Just(Happening::Truncate),
    ];
    (0..2_usize, 0..2_usize, any::<bool>(), happening).prop_map(|(schema, table, full, mut happening)| {
        if let (true, Happening::Update { old, .. }) = (full, &mut happening) {
            // Under FULL the old row is always there.
            old.get_or_insert([Cell::Null; 3]);
        }
        Event { schema, table, full, happening }
    })
}

proptest! {
    #[test]
    fn every_change_hits_exactly_the_topics_that_ask_for_it(
        wanted in proptest::collection::vec((wanted(), any::<bool>()), 0..40),
        events in proptest::collection::vec(event(), 1..20),
    ) {
        let mut index = Index::default();
        let topics: Vec<(Pattern, TopicId)> = wanted
            .iter()
            .zip(0..)
            .map(|((wanted, _), number)| (pattern(*wanted), TopicId(number)))
            .collect();
        for (pattern, topic) in &topics {
            index.insert(pattern, *topic);
        }
        // Some leave again, while others of the same pattern stay.
        let mut joined = BTreeMap::new();
        for ((wanted, stays), (pattern, topic)) in wanted.iter().zip(&topics) {
            if *stays {
                joined.insert(*topic, *wanted);
            } else {
                index.remove(pattern, *topic);
            }
        }
        for event in &events {
            let mut hits = Vec::new();
            let change = change(event);
            index.matches(&change, &mut hits);
            let mut expected = Vec::new();
            for (topic, wanted) in &joined {
                expected.extend(told(*wanted, event).map(|telling| Hit { topic: *topic, telling }));
            }
            hits.sort_unstable();
            prop_assert_eq!(&hits, &expected, "{:?}", event);
            let alone = topics.iter().filter(|(_, topic)| joined.contains_key(topic)).filter_map(
                |(pattern, topic)| pattern.tells(&change).map(|telling| Hit { topic: *topic, telling }),
            );
            prop_assert_eq!(alone.collect::<Vec<_>>(), expected, "{:?}", event);
        }
        for (pattern, topic) in &topics {
            index.remove(pattern, *topic);
        }
        prop_assert!(index.all.is_empty() && index.schemas.is_empty(), "nothing is kept for nobody");
    }
}

#[test]
fn a_column_that_the_table_no_longer_has_matches_nothing() {
    let mut index = Index::default();
    let gone = Pattern::Equals {
        schema: "a".into(),
        table: "x".into(),
        column: "gone".into(),
        key: b"1".as_slice().into(),
    };
    index.insert(&gone, TopicId(0));
    let event = Event { schema: 0, table: 0, full: false, happening: Happening::Insert([Cell::Value(0); 3]) };
    let mut hits = Vec::new();
    index.matches(&change(&event), &mut hits);
    assert_eq!(hits, []);
}
