//! From what the statement returned to what the specification asks for: errors with their paths, and nulls that
//! travel up to the nearest place that may be null (specification, 6.4.4 "Handling Execution Errors").
//!
//! The JSON that came from the database goes out as it is, unless it holds a marker ([`super::sql`]).

use std::sync::Arc;

use serde::Serialize;

use super::code;
use super::model::{ColumnId, Model};
use super::plan::{Aggregate, Cardinality, From, Measure, Measured, Node, Rows, Selected};
use super::sql::{ABSENT, MISSING, NESTED, NOT_FINITE, TOO_MANY};

/// An error at a place of the response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// What happened.
    pub message: String,
    /// Where; empty if no one field is to blame.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub path: Vec<Segment>,
    /// For programs.
    pub extensions: Extensions,
}

/// `extensions` of an error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Extensions {
    /// One of docs/errors.md, or an SQLSTATE.
    pub code: String,
    /// What Postgres suggests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Segment {
    /// A response key.
    Key(#[serde(serialize_with = "text")] Arc<str>),
    /// A place in a list.
    Index(usize),
}

fn text<S: serde::Serializer>(key: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(key)
}

/// Whether a JSON text of ours has to be looked through.
#[must_use]
pub fn is_marked(json: &str) -> bool {
    let json = json.as_bytes();
    memchr::memchr3(MISSING as u8, TOO_MANY as u8, NOT_FINITE as u8, json).is_some()
        || memchr::memchr2(NESTED as u8, ABSENT as u8, json).is_some()
}

/// Resolves the markers of an object with these members. `None` is null, in the object's own place.
#[must_use]
pub fn resolve(
    model: &Model,
    members: &[(Arc<str>, &Node)],
    json: &str,
    rows: u32,
) -> (Option<String>, Vec<FieldError>) {
    let mut walk = Walk::new(model, json, rows);
    let whole = walk.object(members.iter().map(|(key, node)| (key, Place::of(model, None, node))));
    (whole.then_some(walk.out), walk.errors)
}

/// Resolves the markers of one root field's value, written under `key`. `None` is null, in the place of `data` if the
/// field is not nullable: see the flag.
#[must_use]
pub fn resolve_root(
    model: &Model,
    key: &Arc<str>,
    node: &Node,
    json: &str,
    rows: u32,
) -> (Option<String>, bool, Vec<FieldError>) {
    let mut walk = Walk::new(model, json, rows);
    walk.path.push(Segment::Key(Arc::clone(key)));
    let place = Place::of(model, None, node);
    let nullable = place.nullable;
    let whole = walk.value(&place);
    (whole.then_some(walk.out), nullable, walk.errors)
}

/// Resolves the markers of one field of a row, which is at `path`. `None` is null, in the place of the row if the field is
/// not nullable: see the flag.
#[must_use]
pub fn resolve_field(
    model: &Model,
    path: Vec<Segment>,
    row: &Rows,
    node: &Node,
    json: &str,
    rows: u32,
) -> (Option<String>, bool, Vec<FieldError>) {
    let mut walk = Walk::new(model, json, rows);
    walk.path = path;
    let place = Place::of(model, Some(row), node);
    let nullable = place.nullable;
    let whole = walk.value(&place);
    (whole.then_some(walk.out), nullable, walk.errors)
}

/// Whether a field of a row may be null.
#[must_use]
pub fn is_nullable(model: &Model, row: &Rows, node: &Node) -> bool {
    Place::of(model, Some(row), node).nullable
}

/// What stands somewhere, and whether null may.
struct Place<'a> {
    nullable: bool,
    content: Content<'a>,
}

enum Content<'a> {
    Leaf,
    Rows(&'a Rows),
    Aggregate(&'a Aggregate),
    Measured(&'a [(Arc<str>, Measured)]),
}

impl<'a> Place<'a> {
    fn of(model: &Model, row: Option<&Rows>, node: &'a Node) -> Self {
        let (nullable, content) = match node {
            Node::Known(_) => (true, Content::Leaf),
            Node::Column(column) => (row.is_none_or(|row| may_be_null(model, row, *column)), Content::Leaf),
            Node::Rows(rows) => {
                let nullable = match (&rows.from, row) {
                    (From::Composite { column, .. }, Some(row)) => may_be_null(model, row, *column),
                    _ => matches!(
                        rows.cardinality,
                        Cardinality::One { required: false } | Cardinality::Array { null: true }
                    ),
                };
                (nullable, Content::Rows(rows))
            }
            Node::Aggregate(aggregate) => (false, Content::Aggregate(aggregate)),
            Node::Call(call) => {
                let set = model.functions.get(call.function).is_some_and(|function| function.returns_set);
                (!set, Content::Leaf)
            }
        };
        Self { nullable, content }
    }
}

/// Whether a column of a row may be null.
#[must_use]
pub fn may_be_null(model: &Model, row: &Rows, column: ColumnId) -> bool {
    let column = model.entities.get(row.entity).and_then(|entity| entity.columns.get(column));
    column.is_none_or(|column| !column.not_null)
}

struct Walk<'a> {
    model: &'a Model,
    json: &'a str,
    at: usize,
    rows: u32,
    out: String,
    path: Vec<Segment>,
    errors: Vec<FieldError>,
}

impl<'a> Walk<'a> {
    fn new(model: &'a Model, json: &'a str, rows: u32) -> Self {
        Self {
            model,
            json,
            at: 0,
            rows,
            out: String::with_capacity(json.len()),
            path: Vec::new(),
            errors: Vec::new(),
        }
    }

    fn peek(&self) -> u8 {
        self.json.as_bytes().get(self.at).copied().unwrap_or(b' ')
    }

    fn copy(&mut self, length: usize) {
        let end = (self.at + length).min(self.json.len());
        self.out.push_str(self.json.get(self.at..end).unwrap_or_default());
        self.at = end;
    }

    /// Steps over one value, writing it; false if null has to stand in its place, and nothing was written then.
    fn value(&mut self, place: &Place<'a>) -> bool {
        let start = self.out.len();
        let whole = match (self.marker(), &place.content, self.peek()) {
            (true, ..) => false,
            (false, Content::Rows(rows), b'[') => self.list(rows),
            (false, Content::Rows(rows), b'{') => self.row(rows),
            (false, Content::Aggregate(aggregate), b'{') => {
                self.object(aggregate.fields.iter().map(|(key, measure)| {
                    let (nullable, content) = match measure {
                        Measure::Known(_) | Measure::Count => (false, Content::Leaf),
                        Measure::Of(_, fields) => (true, Content::Measured(fields)),
                    };
                    (key, Place { nullable, content })
                }))
            }
            (false, Content::Measured(fields), b'{') => self.object(
                fields.iter().map(|(key, _)| (key, Place { nullable: true, content: Content::Leaf })),
            ),
            _ => {
                self.leaf();
                true
            }
        };
        if !whole {
            self.out.truncate(start);
        }
        whole
    }

    /// Steps over a marker and notes its error.
    fn marker(&mut self) -> bool {
        let (message, code) = match char::from(self.peek()) {
            MISSING => (
                "the row that is referred to cannot be seen, and the schema says that it is not null"
                    .to_owned(),
                code::ROW_MISSING,
            ),
            TOO_MANY => (
                format!("there are more than {} rows; ask for fewer with `limit` or `filter`", self.rows),
                code::TOO_MANY_ROWS,
            ),
            NOT_FINITE => ("NaN and infinite numbers cannot be told as Float".to_owned(), code::NOT_FINITE),
            NESTED => ("the array has more than one dimension".to_owned(), code::ARRAY_NESTED),
            ABSENT => (
                "there is no value, and the schema says that it is not null".to_owned(),
                code::NULL_UNEXPECTED,
            ),
            _ => return false,
        };
        self.at += 1;
        let extensions = Extensions { code: code.to_owned(), hint: None };
        self.errors.push(FieldError { message, path: self.path.clone(), extensions });
        true
    }

    fn row(&mut self, rows: &'a Rows) -> bool {
        let model = self.model;
        self.object(
            rows.fields.iter().map(|Selected { key, node }| (key, Place::of(model, Some(rows), node))),
        )
    }

    fn object<'b>(&mut self, members: impl Iterator<Item = (&'b Arc<str>, Place<'a>)>) -> bool {
        let mut whole = true;
        for (key, place) in members {
            // `{"key":` or `,"key":`
            self.copy(key.len() + 4);
            self.path.push(Segment::Key(Arc::clone(key)));
            if !self.value(&place) {
                whole &= place.nullable;
                self.out.push_str("null");
            }
            self.path.pop();
        }
        // An object without members still has its first brace.
        if self.peek() == b'{' {
            self.copy(1);
        }
        self.copy(1);
        whole
    }

    fn list(&mut self, rows: &'a Rows) -> bool {
        let nullable = matches!(rows.cardinality, Cardinality::Array { .. });
        let mut whole = true;
        self.copy(1);
        let mut index = 0;
        while self.at < self.json.len() && self.peek() != b']' {
            if self.peek() == b',' {
                self.copy(1);
            }
            self.path.push(Segment::Index(index));
            if !self.value(&Place { nullable, content: Content::Rows(rows) }) {
                whole &= nullable;
                self.out.push_str("null");
            }
            self.path.pop();
            index += 1;
        }
        self.copy(1);
        whole
    }

    /// Copies one scalar, or one list or JSON value of a column. In lists, a marker is one null element.
    fn leaf(&mut self) {
        let (mut indexes, mut quoted) = (Vec::new(), false);
        loop {
            let byte = self.peek();
            let outside = indexes.is_empty() && !quoted;
            if self.at >= self.json.len() || (outside && matches!(byte, b',' | b'}' | b']')) {
                return;
            }
            match byte {
                b'\\' if quoted => self.copy(1),
                b'"' => quoted = !quoted,
                b'[' | b'{' if !quoted => indexes.push(0),
                b']' | b'}' if !quoted => _ = indexes.pop(),
                b',' if !quoted => indexes.iter_mut().last().into_iter().for_each(|index| *index += 1),
                1..=5 if !quoted => {
                    let above = self.path.len();
                    self.path.extend(indexes.iter().copied().map(Segment::Index));
                    self.marker();
                    self.path.truncate(above);
                    self.out.push_str("null");
                    continue;
                }
                _ => {}
            }
            let length =
                self.json.get(self.at..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8);
            self.copy(length);
        }
    }
}
