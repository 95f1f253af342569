//! The rows that changes left, for a subscription: one statement for any number of changes.

use std::fmt::Write as _;

use postgres_protocol::escape::escape_identifier;

use super::{Above, Parts, Statement, Writer, calls_row, concatenated, marker, rows};
use crate::graphql::model::{ColumnId, Entity, EntityId, Model};
use crate::graphql::plan::{Condition, From, Node};

/// Between the answers for two changes. Valid JSON holds no such character.
pub const RECORD: char = '\u{1e}';
/// Between the parts of one answer.
pub const FIELD: char = '\u{1f}';

/// The list of changes in the statement, and the row of a change.
const LIST: &str = "k";

/// How the rows of changes are given to a statement: an array of texts for each of these columns, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Given {
    /// As the log has them: all columns that the statement needs.
    Columns(Vec<ColumnId>),
    /// By primary key, to be read from their table. One more array has `t` where the conditions do not matter.
    Key,
}

/// How rows have to be given for these nodes. A function takes a row of the table; what is linked to a row hangs on some of
/// its columns.
#[must_use]
pub fn needed(model: &Model, nodes: &[&Node]) -> Given {
    let mut columns = Vec::new();
    for node in nodes {
        if calls_row(model, node) {
            return Given::Key;
        }
        match node {
            Node::Column(column) => columns.push(*column),
            Node::Rows(rows) => columns.extend(linked(&rows.from)),
            Node::Aggregate(aggregate) => columns.extend(linked(&aggregate.from)),
            Node::Known(_) | Node::Call(_) => {}
        }
    }
    columns.sort_unstable();
    columns.dedup();
    Given::Columns(columns)
}

fn linked(from: &From) -> Vec<ColumnId> {
    match from {
        From::Linked(on) => on.iter().map(|(column, _)| *column).collect(),
        From::Composite { column, .. } => vec![*column],
        _ => Vec::new(),
    }
}

/// A statement that reads what is asked of rows.
///
/// Its first parameters are the arrays of `given`. Of the two texts that it returns, the second is the snapshot in which
/// it was answered. The first, or NULL, holds an answer for each change
/// whose row is there, may be seen and fulfils the conditions: the change's place, from 1, and the JSON of each node.
/// Conditions need the row of the table.
#[must_use]
pub fn changed(
    model: &Model,
    id: EntityId,
    nodes: &[&Node],
    given: &Given,
    conditions: &[Condition],
    limit: u32,
) -> Statement {
    let Some(entity) = model.entities.get(id) else {
        return Statement { sql: String::new().into(), operands: Vec::new() };
    };
    let (columns, from_table) = match given {
        Given::Columns(columns) => (columns, false),
        Given::Key => (&entity.key, true),
    };
    let arrays = columns.len() + usize::from(from_table);
    let mut writer =
        Writer { model, rows: limit, tracked: false, operands: Vec::new(), aliases: 0, given: arrays };
    let alias = writer.alias('t');
    let above = Above { alias: alias.clone(), entity: id, row: format!("{alias}.*") };
    let mut parts = Parts::default();
    for node in nodes {
        parts.constant(&FIELD.to_string());
        writer.value_of(&mut parts, Some(&above), node);
    }
    let answer = concatenated("", &parts.pieces, "");
    let row = if from_table {
        writer.of_table(entity, id, &alias, &parts.laterals, conditions)
    } else {
        let values = values(entity, columns, |name, value| format!("{value} as {name}"));
        format!("(select {}) {alias}{}", values.join(", "), parts.laterals)
    };
    let (mut texts, mut names) = (String::new(), String::new());
    for place in 1..=arrays {
        let _ = write!(texts, "{}${place}::text::text[]", if place > 1 { ", " } else { "" });
        let _ = write!(names, "k{place}, ");
    }
    let sql = format!(
        "select string_agg({LIST}.n::text || l.j, {} order by {LIST}.n) as data, \
         pg_current_snapshot()::text as snapshot \
         from unnest({texts}) with ordinality {LIST}({names}n) \
         cross join lateral (select {answer} as j from {row}) l",
        marker(RECORD),
    );
    Statement { sql: sql.into(), operands: writer.operands }
}

/// What is written of each column's quoted name and its value in the list.
fn values(entity: &Entity, columns: &[ColumnId], write: impl Fn(&str, &str) -> String) -> Vec<String> {
    let described = columns.iter().filter_map(|column| entity.columns.get(*column));
    let values = described.zip(1..).map(|(column, place)| {
        write(&escape_identifier(&column.name), &format!("{LIST}.k{place}::{}", column.value.sql))
    });
    values.collect()
}

impl Writer<'_> {
    /// The row of the table that has the key.
    fn of_table(
        &mut self,
        entity: &Entity,
        id: EntityId,
        alias: &str,
        laterals: &str,
        conditions: &[Condition],
    ) -> String {
        let mut wheres = values(entity, &entity.key, |name, value| format!("{alias}.{name} = {value}"));
        if !conditions.is_empty() {
            let all: Vec<_> =
                conditions.iter().map(|condition| self.condition(id, condition, alias)).collect();
            let decided = entity.key.len() + 1;
            wheres.push(format!("({LIST}.k{decided} = 't' or ({}))", all.join(" and ")));
        }
        // A table that inherits from this one may have the key's values once more.
        format!("{} {alias}{laterals} where {} limit 1", rows::relation(entity), wheres.join(" and "))
    }
}
