//! One result.

use std::sync::Arc;

use bytes::Bytes;

use super::row::Side;
use super::value::Written;
use super::{Reading, Stream, event};
use crate::change::message::Sent;
use crate::change::value::write_string;
use crate::change::{Action, Change};
use crate::graphql::code;
use crate::graphql::model::Entity;
use crate::graphql::plan::{ChangeField, Node, OldField, Rows, Selection, SentField, Source};
use crate::graphql::response::{Extensions, FieldError, Segment, is_marked, may_be_null, resolve_field};
use crate::graphql::sql::{FIELD, RECORD};

/// What a statement answered: for each change, by its place, the parts of its answer.
#[derive(Debug)]
pub struct Answers<'a>(Vec<Option<Vec<&'a str>>>);

impl<'a> Answers<'a> {
    /// Reads what was returned for so many changes.
    #[must_use]
    pub fn read(changes: usize, text: Option<&'a str>) -> Self {
        let mut answers = vec![None; changes];
        for answer in text.into_iter().flat_map(|text| text.split(RECORD)) {
            let mut parts = answer.split(FIELD);
            let place = parts.next().and_then(|place| place.parse::<usize>().ok());
            if let Some(slot) = place.and_then(|place| answers.get_mut(place.checked_sub(1)?)) {
                *slot = Some(parts.collect());
            }
        }
        Self(answers)
    }

    /// The answer for a change, from 0; `None` where its row is not there, may not be seen, or does not fit.
    #[must_use]
    pub fn get(&self, change: usize) -> Option<&[&'a str]> {
        self.0.get(change)?.as_deref()
    }
}

/// A result that is being written.
struct Writing<'a> {
    stream: &'a Stream,
    entity: &'a Entity,
    change: &'a Change,
    reading: Reading,
    answer: Option<&'a [&'a str]>,
    failure: Option<&'a FieldError>,
    out: Vec<u8>,
    path: Vec<Segment>,
    errors: Vec<FieldError>,
}

impl Stream {
    /// The result for something that was sent to its topic.
    #[must_use]
    pub fn sent(&self, sent: &Sent) -> Bytes {
        let Source::Topic(_, fields) = &self.plan.source else { return Bytes::new() };
        let mut out = Vec::with_capacity(sent.payload.len() + 128);
        out.extend_from_slice(b"{\"data\":{");
        key(&mut out, true, &self.plan.key);
        let mut first = true;
        out.push(b'{');
        for (name, field) in fields {
            key(&mut out, std::mem::take(&mut first), name);
            match field {
                SentField::Known(json) => out.extend_from_slice(json.as_bytes()),
                SentField::Topic => write_string(&mut out, sent.topic.as_bytes()),
                SentField::Event => write_string(&mut out, sent.event.as_bytes()),
                SentField::Payload => out.extend_from_slice(&sent.payload),
            }
        }
        out.extend_from_slice(b"}}}");
        out.into()
    }

    /// The result for a change, with the answer of the statement for `reading`; or with `failure`, if that was not
    /// carried out.
    #[must_use]
    pub fn result(
        &self,
        change: &Change,
        reading: Reading,
        answer: Option<&[&str]>,
        failure: Option<&FieldError>,
    ) -> Bytes {
        let (Some(entity), Some(changes)) = (self.entity(), self.changes()) else { return Bytes::new() };
        let path = vec![Segment::Key(Arc::clone(&self.plan.key))];
        let (out, errors) = (Vec::with_capacity(256), Vec::new());
        let mut writing =
            Writing { stream: self, entity, change, reading, answer, failure, out, path, errors };
        writing.out.extend_from_slice(b"{\"data\":");
        let start = writing.out.len();
        writing.out.push(b'{');
        key(&mut writing.out, true, &self.plan.key);
        let whole = match &changes.selection {
            Selection::Record(rows) => writing.record(rows, 0),
            Selection::Change(fields) => {
                writing.change(fields);
                true
            }
        };
        if whole {
            writing.out.push(b'}');
        } else {
            writing.out.truncate(start);
            writing.out.extend_from_slice(b"null");
        }
        if !writing.errors.is_empty() {
            writing.out.extend_from_slice(b",\"errors\":");
            writing.out.extend(serde_json::to_vec(&writing.errors).unwrap_or_default());
        }
        writing.out.push(b'}');
        writing.out.into()
    }
}

/// A result without data.
#[must_use]
pub fn failed(errors: &[FieldError]) -> Bytes {
    let mut out = b"{\"data\":null,\"errors\":".to_vec();
    out.extend(serde_json::to_vec(errors).unwrap_or_default());
    out.push(b'}');
    out.into()
}

/// An error of a whole result.
#[must_use]
pub fn error(code: &str, message: &str) -> FieldError {
    FieldError {
        message: message.to_owned(),
        path: Vec::new(),
        extensions: Extensions { code: code.to_owned(), hint: None },
    }
}

impl Writing<'_> {
    fn change(&mut self, fields: &[(Arc<str>, ChangeField)]) {
        let (mut first, mut records) = (true, 0);
        self.out.push(b'{');
        for (name, field) in fields {
            key(&mut self.out, std::mem::take(&mut first), name);
            self.path.push(Segment::Key(Arc::clone(name)));
            match field {
                ChangeField::Known(json) => self.out.extend_from_slice(json.as_bytes()),
                ChangeField::Event => {
                    write_string(&mut self.out, event(self.change).name().as_bytes());
                }
                ChangeField::Cursor => {
                    self.out.push(b'"');
                    self.change.cursor.write(&mut self.out);
                    self.out.push(b'"');
                }
                ChangeField::Record(rows) => {
                    let left = matches!(self.change.action, Action::Insert { .. } | Action::Update { .. });
                    if !left || !self.record(rows, records) {
                        self.out.extend_from_slice(b"null");
                    }
                    records += 1;
                }
                ChangeField::Old(columns) => self.old(columns),
            }
            self.path.pop();
        }
        self.out.push(b'}');
    }

    /// The row; writes nothing and says so where null has to stand in its place.
    fn record(&mut self, rows: &Rows, place: usize) -> bool {
        let (start, mut first, mut whole) = (self.out.len(), true, true);
        self.out.push(b'{');
        for (at, field) in rows.fields.iter().enumerate() {
            key(&mut self.out, std::mem::take(&mut first), &field.key);
            self.path.push(Segment::Key(Arc::clone(&field.key)));
            if !self.field(rows, &field.node, place, at) {
                self.out.extend_from_slice(b"null");
                whole = false;
            }
            self.path.pop();
        }
        self.out.push(b'}');
        if !whole {
            self.out.truncate(start);
        }
        whole
    }

    /// One field of the row; writes nothing and says so where it is null and must not be.
    fn field(&mut self, rows: &Rows, node: &Node, place: usize, at: usize) -> bool {
        if let Node::Known(json) = node {
            self.out.extend_from_slice(json.as_bytes());
            return true;
        }
        let model = &self.stream.model;
        let secured = self.stream.table().is_some_and(|table| table.secured);
        if let Node::Column(column) = node
            && !secured
            && let Some(written) = self.stream.written(self.change, self.entity, *column, Side::New)
        {
            return self.write(written, may_be_null(model, rows, *column));
        }
        let part = self.stream.read(self.reading).and_then(|read| *read.parts.get(place)?.get(at)?);
        if let Some(json) = part.and_then(|part| self.answer?.get(part)) {
            if !is_marked(json) {
                self.out.extend_from_slice(json.as_bytes());
                return true;
            }
            let (json, nullable, errors) =
                resolve_field(model, self.path.clone(), rows, node, json, self.stream.rows);
            self.errors.extend(errors);
            return match json {
                Some(json) => {
                    self.out.extend_from_slice(json.as_bytes());
                    true
                }
                None if nullable => {
                    self.out.extend_from_slice(b"null");
                    true
                }
                None => false,
            };
        }
        let error = match self.failure {
            Some(failure) => FieldError { path: self.path.clone(), ..failure.clone() },
            None => FieldError {
                path: self.path.clone(),
                ..error(code::ROW_GONE, "the row was gone, or had another key, before this could be read")
            },
        };
        self.errors.push(error);
        let nullable = crate::graphql::response::is_nullable(model, rows, node);
        if nullable {
            self.out.extend_from_slice(b"null");
        }
        nullable
    }

    fn write(&mut self, Written { json, faults }: Written, nullable: bool) -> bool {
        let mut null = json == b"null";
        for (element, fault) in faults {
            let mut path = self.path.clone();
            path.extend(element.map(Segment::Index));
            null |= element.is_none();
            self.errors.push(FieldError { path, ..error(fault.code(), fault.message()) });
        }
        if null && !nullable {
            return false;
        }
        self.out.extend_from_slice(&json);
        true
    }

    /// The row before the change: null where nothing of it is known.
    fn old(&mut self, columns: &[(Arc<str>, OldField)]) {
        let secured = self.stream.table().is_some_and(|table| table.secured);
        let known = match &self.change.action {
            Action::Update { old, .. } => old.is_some(),
            Action::Delete { .. } => true,
            Action::Insert { .. } | Action::Truncate => false,
        };
        if secured || !known {
            self.out.extend_from_slice(b"null");
            return;
        }
        let mut first = true;
        self.out.push(b'{');
        for (name, column) in columns {
            key(&mut self.out, std::mem::take(&mut first), name);
            self.path.push(Segment::Key(Arc::clone(name)));
            match column {
                OldField::Known(json) => self.out.extend_from_slice(json.as_bytes()),
                OldField::Column(column) => {
                    let written = self.stream.written(self.change, self.entity, *column, Side::Old);
                    let written = written.unwrap_or_else(Written::null);
                    self.write(written, true);
                }
            }
            self.path.pop();
        }
        self.out.push(b'}');
    }
}

/// Begins a member. Response keys are GraphQL names, which need no escapes.
fn key(out: &mut Vec<u8>, first: bool, key: &str) {
    if !first {
        out.push(b',');
    }
    out.push(b'"');
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\":");
}
