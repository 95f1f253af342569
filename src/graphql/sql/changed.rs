//! The rows that changes left, for a subscription: one statement for any number of changes.

use std::fmt::Write as _;

use postgres_protocol::escape::escape_identifier;

use super::{Above, Parts, Statement, Writer, concatenated, rows};
use crate::graphql::model::{EntityId, Model};
use crate::graphql::plan::{Condition, Node};

/// Between the answers for two changes. Valid JSON holds no such character.
pub const RECORD: char = '\u{1e}';
/// Between the parts of one answer.
pub const FIELD: char = '\u{1f}';

/// The list of changes in the statement.
const LIST: &str = "k";

/// A statement that reads what is asked of rows given by their primary key.
///
/// Its first parameters are arrays of texts, as long as there are changes: one for each column of the key, then one that
/// is `t` where the conditions do not matter. The one text that it returns, or NULL, holds an answer for each change
/// whose row is there, may be seen and fulfils the conditions: the change's place, from 1, and the JSON of each node.
#[must_use]
pub fn changed(
    model: &Model,
    id: EntityId,
    nodes: &[&Node],
    conditions: &[Condition],
    rows: u32,
) -> Statement {
    let Some(entity) = model.entities.get(id) else {
        return Statement { sql: String::new().into(), operands: Vec::new() };
    };
    let given = entity.key.len() + 1;
    let mut writer = Writer { model, rows, tracked: false, operands: Vec::new(), aliases: 0, given };
    let alias = writer.alias('t');
    let above = Above { alias: alias.clone(), entity: id, row: format!("{alias}.*") };
    let mut parts = Parts::default();
    for node in nodes {
        parts.constant(&FIELD.to_string());
        // A member's value may follow a constant of its own.
        writer.value_of(&mut parts, Some(&above), node);
    }
    let answer = concatenated("", &parts.pieces, "");
    let mut wheres = Vec::with_capacity(given);
    for (place, column) in entity.key.iter().enumerate() {
        let Some(column) = entity.columns.get(*column) else { continue };
        let name = escape_identifier(&column.name);
        wheres.push(format!("{alias}.{name} = {LIST}.k{place}::{}", column.value.sql));
    }
    if !conditions.is_empty() {
        let conditions: Vec<_> =
            conditions.iter().map(|condition| writer.condition(id, condition, &alias)).collect();
        wheres.push(format!("({LIST}.d = 't' or ({}))", conditions.join(" and ")));
    }
    let (mut arrays, mut names) = (String::new(), String::new());
    for place in 0..entity.key.len() {
        let _ = write!(arrays, "${}::text::text[], ", place + 1);
        let _ = write!(names, "k{place}, ");
    }
    let sql = format!(
        "select string_agg({LIST}.n::text || l.j, {} order by {LIST}.n) as data \
         from unnest({arrays}${given}::text::text[]) with ordinality {LIST}({names}d, n) \
         cross join lateral (select {answer} as j from {} {alias}{} where {} limit 1) l",
        super::marker(RECORD),
        rows::relation(entity),
        parts.laterals,
        wheres.join(" and "),
    );
    Statement { sql: sql.into(), operands: writer.operands }
}
