//! Sets of rows.

use std::fmt::Write as _;

use postgres_protocol::escape::escape_identifier;

use super::{Above, NESTED, Parts, Writer, marker};
use crate::graphql::model::{ColumnId, Entity, Model};
use crate::graphql::plan::{Cardinality, Condition, From, Node, Order, Rows, Window};

/// Columns of derived tables beside those of the relation, as long as it has none of that name.
const ROW: &str = "walcast row";
const PLACE: &str = "walcast place";
const NULL: &str = "walcast null";

impl Writer<'_> {
    /// A select of one text column `j`, and of `k` when tracked: for a list always one row, else one or none.
    pub(super) fn rows(&mut self, rows: &Rows, above: Option<&Above>) -> String {
        let Some(entity) = self.model.entities.get(rows.entity) else { return String::new() };
        match &rows.cardinality {
            Cardinality::One { .. } => self.one(entity, rows, above),
            Cardinality::Many(window) => self.many(entity, rows, window, above),
            Cardinality::Array { .. } => self.many(entity, rows, &Window::default(), above),
        }
    }

    fn one(&mut self, entity: &Entity, rows: &Rows, above: Option<&Above>) -> String {
        let alias = self.alias('t');
        let source = self.source(entity, rows, above);
        let this = Above { alias: alias.clone(), entity: rows.entity, row: whole(&alias) };
        let parts = self.parts(rows, &this);
        let keys = self.keys(entity, rows, &parts, &alias);
        let wheres = self.wheres(rows, above, &alias);
        // A table that inherits from this one may have the key's values once more.
        let limit = if matches!(rows.from, From::Key(_)) { " limit 1" } else { "" };
        format!("select {} as j{keys} from {source} {alias}{}{wheres}{limit}", parts.object(), parts.laterals)
    }

    fn many(&mut self, entity: &Entity, rows: &Rows, window: &Window, above: Option<&Above>) -> String {
        let (inner, alias) = (self.alias('s'), self.alias('t'));
        let source = self.source(entity, rows, above);
        let plain = matches!(rows.from, From::Relation | From::Key(_) | From::Linked(_));
        let place = !plain;
        let row = free(entity, ROW);
        let returned = matches!(rows.from, From::Returned);
        let wheres = self.wheres(rows, above, &inner);
        let limits = if returned { String::new() } else { self.limits(window) };
        let order = |alias: &str| ordering(entity, &window.order, place, alias);
        let array = matches!(rows.cardinality, Cardinality::Array { .. });

        let nested = rows.fields.iter().any(|field| !matches!(field.node, Node::Known(_) | Node::Column(_)));
        let keys;
        let body = if plain && !nested {
            let this = Above { alias: inner.clone(), entity: rows.entity, row: whole(&inner) };
            let parts = self.parts(rows, &this);
            keys = self.keys(entity, rows, &parts, &inner);
            let order = order(&inner);
            format!("select {} as j{keys} from {source} {inner}{wheres}{order}{limits}", parts.object())
        } else {
            // The rows are cut down before anything is joined to them; their order is said again after the joins.
            let this = Above { alias: alias.clone(), entity: rows.entity, row: format!("{alias}.{row}") };
            let parts = self.parts(rows, &this);
            keys = self.keys(entity, rows, &parts, &alias);
            let mut columns: Vec<_> = used(self, entity, rows, window)
                .into_iter()
                .filter_map(|column| entity.columns.get(column))
                .map(|column| format!("{inner}.{}", escape_identifier(&column.name)))
                .collect();
            if calls(rows, self) {
                columns.push(format!("({})::{} as {row}", whole(&inner), relation(entity)));
            }
            if place {
                columns.push(format!("row_number() over () as {}", free(entity, PLACE)));
            }
            let mut object = parts.object();
            if array {
                let null = free(entity, NULL);
                columns.push(format!("{} is null as {null}", whole(&inner)));
                object = format!("case when {alias}.{null} then 'null' else {object} end");
            }
            let (inside, outside) = (order_of_derived(entity, &window.order, place, &inner), order(&alias));
            format!(
                "select {object} as j{keys} from (select {} from {source} {inner}{wheres}{inside}{limits}) {alias}{}{outside}",
                columns.join(", "),
                parts.laterals
            )
        };
        let unlimited = if returned { false } else { window.limit.is_none() };
        let mut list = if unlimited {
            self.list("q.j", None)
        } else {
            "'[' || coalesce(string_agg(q.j, ','), '') || ']'".to_owned()
        };
        if let Cardinality::Array { null: true } = rows.cardinality {
            let value = self.value(entity, rows, above);
            let nested = marker(NESTED);
            list = format!(
                "case when {value} is null then 'null' when array_ndims({value}) > 1 then {nested} else {list} end"
            );
        }
        let keys = if self.tracked { ", '[' || coalesce(string_agg(q.k, ','), '') || ']' as k" } else { "" };
        format!("select {list} as j{keys} from ({body}) q")
    }

    fn parts(&mut self, rows: &Rows, this: &Above) -> Parts {
        let mut parts = Parts::default();
        for field in &rows.fields {
            self.part(&mut parts, Some(this), &field.key, &field.node);
        }
        parts
    }

    fn keys(&self, entity: &Entity, rows: &Rows, parts: &Parts, alias: &str) -> String {
        if !self.tracked {
            return String::new();
        }
        let identity: Vec<_> = rows
            .identity(self.model)
            .into_iter()
            .filter_map(|column| entity.columns.get(column))
            .map(|column| {
                format!("coalesce(to_json({alias}.{}::text)::text, 'null')", escape_identifier(&column.name))
            })
            .collect();
        format!(", {} as k", parts.keys(&identity))
    }

    fn source(&mut self, entity: &Entity, rows: &Rows, above: Option<&Above>) -> String {
        match &rows.from {
            From::Relation | From::Key(_) | From::Linked(_) | From::Changed => relation(entity),
            From::Composite { list: false, .. } => {
                format!("(select ({}).*)", self.value(entity, rows, above))
            }
            From::Function(_) if !matches!(rows.cardinality, Cardinality::Array { null: true }) => {
                self.value(entity, rows, above)
            }
            From::Function(_) | From::Composite { .. } | From::Returned => {
                format!("unnest({})", self.value(entity, rows, above))
            }
        }
    }

    /// The value that the rows are parts of.
    fn value(&mut self, entity: &Entity, rows: &Rows, above: Option<&Above>) -> String {
        match &rows.from {
            From::Relation | From::Key(_) | From::Linked(_) | From::Changed => relation(entity),
            From::Function(call) => self.call(call, above),
            From::Composite { column, .. } => {
                above.and_then(|above| self.column(above, *column)).unwrap_or_default()
            }
            From::Returned => format!("$1::text::{}[]", relation(entity)),
        }
    }

    fn wheres(&mut self, rows: &Rows, above: Option<&Above>, alias: &str) -> String {
        let mut all = self.membership(rows.entity, &rows.from, above, alias);
        if matches!(rows.from, From::Function(_) | From::Composite { .. } | From::Returned)
            && !matches!(rows.cardinality, Cardinality::Array { .. })
        {
            // A function without a result gives one row of nulls.
            all.push(format!("not ({} is null)", whole(alias)));
        }
        self.where_clause(rows.entity, &rows.conditions, alias, all)
    }

    pub(super) fn where_clause(
        &mut self,
        entity: usize,
        conditions: &[Condition],
        alias: &str,
        mut all: Vec<String>,
    ) -> String {
        all.extend(conditions.iter().map(|condition| self.condition(entity, condition, alias)));
        if all.is_empty() { String::new() } else { format!(" where {}", all.join(" and ")) }
    }

    /// What binds rows to a key or to the row one level up.
    pub(super) fn membership(
        &mut self,
        entity: usize,
        from: &From,
        above: Option<&Above>,
        alias: &str,
    ) -> Vec<String> {
        let model = self.model;
        let name = |entity: usize, column: ColumnId| {
            let column = model.entities.get(entity).and_then(|entity| entity.columns.get(column));
            escape_identifier(column.map_or("", |column| &column.name))
        };
        match (from, above) {
            (From::Key(key), _) => key
                .iter()
                .map(|(column, operand)| {
                    format!("{alias}.{} = {}", name(entity, *column), self.operand(operand))
                })
                .collect(),
            (From::Linked(on), Some(above)) => on
                .iter()
                .map(|(theirs, ours)| {
                    format!(
                        "{alias}.{} = {}.{}",
                        name(entity, *ours),
                        above.alias,
                        name(above.entity, *theirs)
                    )
                })
                .collect(),
            _ => Vec::new(),
        }
    }

    fn limits(&mut self, window: &Window) -> String {
        let mut out = match &window.limit {
            Some(limit) => format!(" limit {}", self.operand(limit)),
            // One more, which tells that there are too many.
            None => format!(" limit {}", u64::from(self.rows) + 1),
        };
        if let Some(offset) = &window.offset {
            let offset = self.operand(offset);
            let _ = write!(out, " offset {offset}");
        }
        out
    }
}

pub(super) fn relation(entity: &Entity) -> String {
    format!("{}.{}", escape_identifier(&entity.schema), escape_identifier(&entity.relation))
}

/// The whole row; its bare alias would be a column, were there one of that name.
fn whole(alias: &str) -> String {
    format!("{alias}.*")
}

/// A column's name, quoted, that the relation has not.
fn free(entity: &Entity, name: &str) -> String {
    let mut name = name.to_owned();
    while entity.columns.iter().any(|column| column.name == name) {
        name.push('_');
    }
    escape_identifier(&name)
}

/// Columns that something outside the innermost select mentions.
fn used(writer: &Writer<'_>, entity: &Entity, rows: &Rows, window: &Window) -> Vec<ColumnId> {
    let mut columns: Vec<ColumnId> = window.order.iter().map(|order| order.column).collect();
    columns.extend(&entity.key);
    if writer.tracked {
        columns.extend(rows.identity(writer.model));
    }
    for field in &rows.fields {
        match &field.node {
            Node::Column(column) => columns.push(*column),
            Node::Rows(inner) => match &inner.from {
                From::Linked(on) => columns.extend(on.iter().map(|(theirs, _)| theirs)),
                From::Composite { column, .. } => columns.push(*column),
                _ => {}
            },
            Node::Aggregate(inner) => {
                if let From::Linked(on) = &inner.from {
                    columns.extend(on.iter().map(|(theirs, _)| theirs));
                }
            }
            Node::Known(_) | Node::Call(_) => {}
        }
    }
    columns.sort_unstable();
    columns.dedup();
    columns
}

/// A function takes the whole row.
fn calls(rows: &Rows, writer: &Writer<'_>) -> bool {
    rows.fields.iter().any(|field| calls_row(writer.model, &field.node))
}

/// A node is what a function makes of its row.
pub(in crate::graphql) fn calls_row(model: &Model, node: &Node) -> bool {
    let of_row = |id: usize| model.functions.get(id).is_some_and(|function| function.of.is_some());
    match node {
        Node::Call(call) => of_row(call.function),
        Node::Rows(inner) => matches!(&inner.from, From::Function(call) if of_row(call.function)),
        _ => false,
    }
}

/// A total order: what was asked for, then the place that the source gave, or the primary key.
fn ordering(entity: &Entity, order: &[Order], place: bool, alias: &str) -> String {
    let mut keys = order_keys(entity, order, alias);
    if place {
        keys.push(format!("{alias}.{}", free(entity, PLACE)));
    } else {
        let by_key = entity.key.iter().filter(|column| !order.iter().any(|order| order.column == **column));
        let names = by_key.filter_map(|column| entity.columns.get(*column));
        keys.extend(names.map(|column| format!("{alias}.{}", escape_identifier(&column.name))));
    }
    if keys.is_empty() { String::new() } else { format!(" order by {}", keys.join(", ")) }
}

/// The same where the place is made: there it has no table in front of it.
fn order_of_derived(entity: &Entity, order: &[Order], place: bool, alias: &str) -> String {
    if !place {
        return ordering(entity, order, false, alias);
    }
    let mut keys = order_keys(entity, order, alias);
    keys.push(free(entity, PLACE));
    format!(" order by {}", keys.join(", "))
}

fn order_keys(entity: &Entity, order: &[Order], alias: &str) -> Vec<String> {
    order
        .iter()
        .filter_map(|order| {
            let column = entity.columns.get(order.column)?;
            let direction = if order.descending { " desc" } else { "" };
            let nulls = match order.nulls_first {
                None => "",
                Some(true) => " nulls first",
                Some(false) => " nulls last",
            };
            Some(format!("{alias}.{}{direction}{nulls}", escape_identifier(&column.name)))
        })
        .collect()
}
