//! A plan as SQL: one statement for a query, and for each root field of a mutation its call and its selection.
//!
//! The statement builds the response's JSON as text, in selection order. Text rather than `json_build_object`: no
//! limit of arguments, no parsing of what was just built, and names longer than SQL identifiers. Where the JSON must
//! not go out as it is, a control character stands in a value's place ([`MISSING`], [`TOO_MANY`], [`NOT_FINITE`],
//! [`NESTED`], [`ABSENT`]); valid JSON cannot hold one, so looking for it costs next to nothing, and [`super::response`] then does
//! what the specification asks for.
//!
//! User text is never part of a statement: values are parameters, names of columns come from the catalog and response
//! keys from GraphQL's grammar, and all of them pass the escapers.

mod aggregate;
mod changed;
mod condition;
mod leaf;
mod rows;

use std::fmt::Write as _;
use std::sync::Arc;

use postgres_protocol::escape::{escape_identifier, escape_literal};

use super::model::{ColumnId, Function, Model};
use super::plan::{Call, Cardinality, From, Node, Operand, Plan, Rows, Subscription, Take};
pub use changed::{FIELD, Given, RECORD, changed, needed};
pub(super) use rows::calls_row;

/// In place of a row that the schema says is there.
pub const MISSING: char = '\u{1}';
/// In place of a list with more rows than the server allows.
pub const TOO_MANY: char = '\u{2}';
/// In place of a float that is NaN or infinite.
pub const NOT_FINITE: char = '\u{3}';
/// In place of an array with more dimensions than the one that its type tells of.
pub const NESTED: char = '\u{4}';
/// In place of a null that the schema rules out: functions may return rows that their table would not take.
pub const ABSENT: char = '\u{5}';

/// One statement. All parameters are declared as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Its text.
    pub sql: Arc<str>,
    /// Its parameters; those of a [`Script::Mutation`]'s selection follow what its call returned.
    pub operands: Vec<Operand>,
}

/// All statements of an operation.
#[derive(Clone, Debug)]
pub enum Script {
    /// One statement with one row: the response's `data`; when tracked also the keys of all rows read, and the snapshot.
    Query(Statement),
    /// In one transaction, for each root field.
    Mutation(Vec<Change>),
    /// A subscription's statements are written by what its changes leave open ([`changed`]).
    Subscription(Arc<Subscription>),
}

/// A root field of a mutation. What is known without the database has neither statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Calls the function. Its one column is the field's JSON, or an array of rows for `selection`.
    pub call: Option<Statement>,
    /// Returns the field's JSON; its first parameter is the array of rows.
    pub selection: Option<Statement>,
}

/// Writes the statements of a plan; `rows` is the most rows that a list may have, and with `tracked` the statement also
/// returns what a live query has to know.
#[must_use]
pub fn write(model: &Model, plan: &Plan, rows: u32, tracked: bool) -> Script {
    let writer = || Writer { model, rows, tracked, operands: Vec::new(), aliases: 0, given: 0 };
    if plan.mutation {
        return Script::Mutation(plan.roots.iter().map(|root| writer().change(&root.node)).collect());
    }
    let mut writer = writer();
    let mut parts = Parts::default();
    for root in &plan.roots {
        writer.part(&mut parts, None, &root.key, &root.node);
    }
    let mut sql = format!("select {} as data", parts.object());
    if tracked {
        let _ = write!(sql, ", {} as keys, pg_current_snapshot()::text as snapshot", parts.keys(&[]));
    }
    let _ = write!(sql, " from (select) r{}", parts.laterals);
    Script::Query(Statement { sql: sql.into(), operands: writer.operands })
}

/// What one row's object is made of.
#[derive(Default)]
struct Parts {
    /// The object's text between its braces: constants and expressions in turn.
    pieces: Vec<Piece>,
    /// Joins that the expressions refer to.
    laterals: String,
    /// Expressions of the keys of rows further down.
    keys: Vec<String>,
}

enum Piece {
    Constant(String),
    Expression(String),
}

impl Parts {
    fn constant(&mut self, text: &str) {
        match self.pieces.last_mut() {
            Some(Piece::Constant(before)) => before.push_str(text),
            _ => self.pieces.push(Piece::Constant(text.to_owned())),
        }
    }

    /// Begins a member of the object. Response keys are GraphQL names: JSON needs no escapes for them.
    fn member(&mut self, key: &str) {
        let comma = if self.pieces.is_empty() { "" } else { "," };
        self.constant(&format!("{comma}\"{key}\":"));
    }

    fn expression(&mut self, expression: String) {
        self.pieces.push(Piece::Expression(expression));
    }

    /// The object as an SQL expression of type text.
    fn object(&self) -> String {
        concatenated("{", &self.pieces, "}")
    }

    /// The identity of the row followed by the keys further down, as a JSON array.
    fn keys(&self, identity: &[String]) -> String {
        let mut pieces = Vec::new();
        for key in identity.iter().chain(&self.keys) {
            if !pieces.is_empty() {
                pieces.push(Piece::Constant(",".to_owned()));
            }
            pieces.push(Piece::Expression(key.clone()));
        }
        concatenated("[", &pieces, "]")
    }
}

fn concatenated(open: &str, pieces: &[Piece], close: &str) -> String {
    let mut out = String::new();
    let mut constant = open.to_owned();
    for piece in pieces {
        match piece {
            Piece::Constant(text) => constant.push_str(text),
            Piece::Expression(expression) => {
                if !constant.is_empty() {
                    let _ = write!(out, "{} || ", escape_literal(&std::mem::take(&mut constant)).trim());
                }
                let _ = write!(out, "{expression} || ");
            }
        }
    }
    constant.push_str(close);
    let _ = write!(out, "{}", escape_literal(&constant).trim());
    out
}

struct Writer<'a> {
    model: &'a Model,
    rows: u32,
    tracked: bool,
    operands: Vec<Operand>,
    aliases: usize,
    /// So many parameters come before the operands: what a call returned, or the keys of changed rows.
    given: usize,
}

/// The row one level up: how SQL names its columns, and the row itself.
#[derive(Clone)]
struct Above {
    alias: String,
    entity: usize,
    row: String,
}

impl Writer<'_> {
    fn alias(&mut self, letter: char) -> String {
        self.aliases += 1;
        format!("{letter}{}", self.aliases)
    }

    /// A parameter, cast to what it takes.
    fn operand(&mut self, operand: &Operand) -> String {
        let place = self.operands.iter().position(|known| known == operand).unwrap_or_else(|| {
            self.operands.push(operand.clone());
            self.operands.len() - 1
        });
        let number = place + 1 + self.given;
        match operand.take() {
            Take::Value(value) => format!("${number}::text::{}", value.sql),
            Take::Any(value) => format!("${number}::text::{}[]", value.sql),
            Take::Pattern => format!("${number}::text"),
            Take::Count(_) => format!("${number}::text::bigint"),
        }
    }

    /// Adds a member of an object.
    fn part(&mut self, parts: &mut Parts, above: Option<&Above>, key: &str, node: &Node) {
        parts.member(key);
        self.value_of(parts, above, node);
    }

    /// Adds the value of a member.
    fn value_of(&mut self, parts: &mut Parts, above: Option<&Above>, node: &Node) {
        match node {
            Node::Known(json) if json.starts_with('"') => parts.constant(json),
            // Introspection: long, and no reason for a statement of its own.
            Node::Known(json) => {
                let known = Operand::Constant(Some(Arc::clone(json)), Arc::new(Take::Pattern));
                let parameter = self.operand(&known);
                parts.expression(parameter);
            }
            Node::Column(column) => {
                let Some(above) = above else { return };
                let Some(value) = self.column(above, *column) else { return };
                let entity = self.model.entities.get(above.entity);
                let Some(column) = entity.and_then(|entity| entity.columns.get(*column)) else { return };
                parts.expression(leaf::json(self.model, &column.value, &value, !column.not_null));
            }
            Node::Rows(rows) => {
                let lateral = self.alias('l');
                let select = self.rows(rows, above);
                let (join, value) = match rows.cardinality {
                    Cardinality::Many(_) | Cardinality::Array { .. } => {
                        ("cross join", format!("{lateral}.j"))
                    }
                    Cardinality::One { required: false } => {
                        ("left join", format!("coalesce({lateral}.j, 'null')"))
                    }
                    Cardinality::One { required: true } => {
                        ("left join", format!("coalesce({lateral}.j, {})", marker(MISSING)))
                    }
                };
                let on = if join == "left join" { " on true" } else { "" };
                let _ = write!(parts.laterals, " {join} lateral ({select}) {lateral}{on}");
                parts.expression(value);
                if self.tracked {
                    parts.keys.push(format!("coalesce({lateral}.k, 'null')"));
                }
            }
            Node::Aggregate(aggregate) => {
                let lateral = self.alias('l');
                let select = self.aggregate(aggregate, above);
                let _ = write!(parts.laterals, " cross join lateral ({select}) {lateral}");
                parts.expression(format!("{lateral}.j"));
            }
            Node::Call(call) => {
                let lateral = self.alias('l');
                let select = self.values(call, above);
                let _ = write!(parts.laterals, " cross join lateral ({select}) {lateral}");
                parts.expression(format!("{lateral}.j"));
            }
        }
    }

    /// A column of the row one level up.
    fn column(&self, above: &Above, column: ColumnId) -> Option<String> {
        let column = self.model.entities.get(above.entity)?.columns.get(column)?;
        Some(format!("{}.{}", above.alias, escape_identifier(&column.name)))
    }

    /// The values of a function that returns no rows, as one JSON text `j`.
    fn values(&mut self, call: &Call, above: Option<&Above>) -> String {
        let called = self.call(call, above);
        let Some(function) = self.model.functions.get(call.function) else { return String::new() };
        let Some(value) = &function.returns else {
            return format!("select 'true'::text as j from {called} v");
        };
        // `offset 0`: the value is computed once, however often its JSON mentions it.
        let json = leaf::json(self.model, value, "v.v", true);
        if !function.returns_set {
            return format!("select {json} as j from (select {called} as v offset 0) v");
        }
        let list = self.list("j", None);
        format!(
            "select {list} as j from (select {json} as j from {called} with ordinality v(v, n) \
             order by v.n limit {}) q",
            u64::from(self.rows) + 1
        )
    }

    /// A JSON array of all values of a column of the rows selected, in their order.
    fn list(&self, column: &str, limit: Option<&Operand>) -> String {
        let list = format!("'[' || coalesce(string_agg({column}, ','), '') || ']'");
        if limit.is_some() {
            return list;
        }
        format!("case when count(*) > {} then {} else {list} end", self.rows, marker(TOO_MANY))
    }

    fn call(&mut self, call: &Call, above: Option<&Above>) -> String {
        let Some(function) = self.model.functions.get(call.function) else { return String::new() };
        let mut arguments = Vec::new();
        if function.of.is_some() {
            arguments.extend(above.map(|above| above.row.clone()));
        }
        for (place, operand) in &call.arguments {
            let value = self.operand(operand);
            match function.arguments.get(*place).and_then(|argument| argument.name.as_deref()) {
                Some(name) => arguments.push(format!("{} => {value}", escape_identifier(name))),
                None => arguments.push(value),
            }
        }
        format!("{}({})", named(function), arguments.join(", "))
    }

    /// The statements of a mutation's root field.
    fn change(mut self, node: &Node) -> Change {
        self.tracked = false;
        match node {
            Node::Rows(rows) => {
                let From::Function(call) = &rows.from else {
                    return Change { call: None, selection: None };
                };
                let called = self.call(call, None);
                let sql = match rows.cardinality {
                    Cardinality::Array { null: true } => format!("select {called}::text as rows"),
                    Cardinality::Array { null: false } => {
                        format!("select array_agg(r.*)::text as rows from {called} r")
                    }
                    _ => {
                        format!("select array_agg(r.*)::text as rows from {called} r where not (r.* is null)")
                    }
                };
                let call = Statement { sql: sql.into(), operands: std::mem::take(&mut self.operands) };
                self.given = 1;
                let returned = Rows { from: From::Returned, ..(**rows).clone() };
                let select = self.rows(&returned, None);
                let sql = format!(
                    "select coalesce(l.j, 'null') as data from (select) r left join lateral ({select}) l on true"
                );
                Change {
                    call: Some(call),
                    selection: Some(Statement { sql: sql.into(), operands: self.operands }),
                }
            }
            Node::Call(call) => {
                let sql = self.values(call, None);
                Change { call: Some(Statement { sql: sql.into(), operands: self.operands }), selection: None }
            }
            _ => Change { call: None, selection: None },
        }
    }
}

fn named(function: &Function) -> String {
    format!("{}.{}", escape_identifier(&function.schema), escape_identifier(&function.name))
}

fn marker(marker: char) -> String {
    format!("chr({})", u32::from(marker))
}
