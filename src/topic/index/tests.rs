//! The index against an oracle that asks every topic about every change, straight from its meaning.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::change::types::builtin;
use crate::change::{Action, Column, OldRow, Relation, Row};
use crate::lsn::Cursor;
use crate::pgoutput::ReplicaIdentity;
use crate::topic::condition::{Column as Asked, Condition, Operand, Test};
use crate::topic::filter::{Comparison, Singleton};

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
            let (column, value) = (column, VALUES[column][value].0);
            filtered(schema, table, compare(column, Comparison::Eq, value))
        }
    }
}

fn kind(column: usize) -> Kind {
    Kind::of(&builtin(COLUMNS[column].1).expect("a built-in type").name).expect("a kind")
}

fn compare(column: usize, comparison: Comparison, value: &str) -> Condition {
    let kind = kind(column);
    let operand = Operand::new(&kind, value.to_owned()).expect("a value");
    Condition::Test { column, test: Test::Compare(kind, comparison, operand) }
}

fn filtered(schema: usize, table: usize, condition: Condition) -> Pattern {
    let asked = |(name, _): (&str, u32)| Asked { name: name.into(), sql_type: "x".into(), text: false };
    Pattern::Filtered(Arc::new(Filtered {
        schema: SCHEMAS[schema].into(),
        table: TABLES[table].into(),
        columns: COLUMNS.into_iter().map(asked).collect(),
        condition,
    }))
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

fn condition() -> impl Strategy<Value = Condition> {
    let comparison = proptest::sample::select(vec![
        Comparison::Eq,
        Comparison::Neq,
        Comparison::Lt,
        Comparison::Lte,
        Comparison::Gt,
        Comparison::Gte,
        Comparison::Distinct,
    ]);
    let test = prop_oneof![
        6 => (0..3_usize, comparison, 0..4_usize).prop_map(|(column, comparison, value)| {
            compare(column, comparison, VALUES[column][value].0)
        }),
        2 => (0..3_usize, proptest::collection::vec(0..4_usize, 1..3)).prop_map(|(column, values)| {
            let operand = |value: usize| Operand::new(&kind(column), VALUES[column][value].0.to_owned()).expect("a value");
            let test = Test::Among(kind(column), values.into_iter().map(operand).collect());
            Condition::Test { column, test }
        }),
        1 => (0..3_usize).prop_map(|column| Condition::Test { column, test: Test::Is(Singleton::Null) }),
    ];
    test.prop_recursive(3, 8, 3, |inner| {
        let several = || proptest::collection::vec(inner.clone(), 1..4);
        prop_oneof![
            3 => several().prop_map(|conditions| Condition::All(conditions.into())),
            2 => several().prop_map(|conditions| Condition::Any(conditions.into())),
            1 => inner.clone().prop_map(|condition| Condition::Not(Box::new(condition))),
        ]
    })
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

    #[test]
    fn look_ups_find_every_filter_that_would_be_told(
        conditions in proptest::collection::vec((condition(), any::<bool>()), 0..30),
        events in proptest::collection::vec(event(), 1..20),
    ) {
        let mut index = Index::default();
        // Each twice, as topics that are spelled in two ways.
        let topics: Vec<(Pattern, TopicId, bool)> = conditions
            .iter()
            .flat_map(|one| [one, one])
            .zip(0..)
            .map(|((condition, stays), number)| {
                (filtered(0, 0, condition.clone()), TopicId(number), *stays || number % 2 == 1)
            })
            .collect();
        for (pattern, topic, _) in &topics {
            index.insert(pattern, *topic);
        }
        for (pattern, topic, _) in topics.iter().filter(|(_, _, stays)| !stays) {
            index.remove(pattern, *topic);
        }
        for event in &events {
            let mut hits = Vec::new();
            let change = change(event);
            index.matches(&change, &mut hits);
            hits.sort_unstable();
            let alone = topics.iter().filter(|(_, _, stays)| *stays).filter_map(
                |(pattern, topic, _)| pattern.tells(&change).map(|telling| Hit { topic: *topic, telling }),
            );
            prop_assert_eq!(hits, alone.collect::<Vec<_>>(), "{:?}", event);
        }
        for (pattern, topic, _) in &topics {
            index.remove(pattern, *topic);
        }
        prop_assert!(index.schemas.is_empty(), "nothing is kept for nobody");
    }
}

#[test]
fn a_value_that_is_none_of_the_type_any_more_is_better_told_than_lost() {
    let mut index = Index::default();
    index.insert(&filtered(0, 0, compare(0, Comparison::Gt, "5")), TopicId(0));
    let event = Event { schema: 0, table: 0, full: false, happening: Happening::Insert([Cell::Value(0); 3]) };
    let mut change = change(&event);
    let mut bytes = b"t\0\0\0\x03one".to_vec();
    bytes.extend_from_slice(b"nn");
    change.action = Action::Insert { new: Row(bytes.into()) };
    let mut hits = Vec::new();
    index.matches(&change, &mut hits);
    assert_eq!(hits.len(), 1);
}

#[test]
fn a_column_that_the_table_no_longer_has_matches_nothing() {
    let mut index = Index::default();
    let Pattern::Filtered(known) = filtered(0, 0, compare(0, Comparison::Eq, "1")) else { unreachable!() };
    let mut lost = (*known).clone();
    lost.columns[2].name = "gone".into();
    let gone = Pattern::Filtered(lost.into());
    index.insert(&gone, TopicId(0));
    let event = Event { schema: 0, table: 0, full: false, happening: Happening::Insert([Cell::Value(0); 3]) };
    let mut hits = Vec::new();
    index.matches(&change(&event), &mut hits);
    assert_eq!(hits, []);
}
