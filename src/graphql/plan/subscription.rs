//! Subscriptions: what is told, of which events.

use std::sync::Arc;

use apollo_compiler::ExecutableDocument;
use apollo_compiler::executable as exe;
use apollo_compiler::response::JsonMap;

use super::input::Input;
use super::planner::{Group, Limits, Planner, typename};
use super::{Cardinality, Comparison, Condition, From, Node, Operand, PlanError, Rows, Shape, Take};
use crate::graphql::model::{
    ChangeEvent, ChangeType, ColumnId, EntityId, Events, Model, Scalar, Shape as ValueShape,
    SubscriptionField, ValueType,
};
use crate::graphql::modelling::subscriptions::old;

/// What one subscription tells.
#[derive(Clone, Debug)]
pub struct Subscription {
    /// The response key of its one field.
    pub key: Arc<str>,
    /// What its results come from (specification, 6.2.3 "Source Stream").
    pub source: Source,
}

/// Where results come from, and what is selected of each.
#[derive(Clone, Debug)]
pub enum Source {
    /// What is sent to a topic.
    Topic(Operand, Vec<(Arc<str>, SentField)>),
    /// Changes of a table.
    Changes(Box<Changes>),
}

/// A field of what was sent.
#[derive(Clone, Debug)]
pub enum SentField {
    /// `__typename`, as JSON.
    Known(Arc<str>),
    /// `topic`
    Topic,
    /// `event`
    Event,
    /// `payload`
    Payload,
}

/// Changes of one table.
#[derive(Clone, Debug)]
pub struct Changes {
    /// Whose.
    pub entity: EntityId,
    /// Of these events.
    pub events: Events,
    /// All of these hold for the row.
    pub conditions: Vec<Condition>,
    /// What is selected.
    pub selection: Selection,
}

/// What is selected of a change.
#[derive(Clone, Debug)]
pub enum Selection {
    /// The row itself.
    Record(Rows),
    /// The fields of an object that describes the change.
    Change(Vec<(Arc<str>, ChangeField)>),
}

/// A field of a change.
#[derive(Clone, Debug)]
pub enum ChangeField {
    /// `__typename`, as JSON.
    Known(Arc<str>),
    /// `event`
    Event,
    /// `cursor`
    Cursor,
    /// `record`
    Record(Rows),
    /// `old`
    Old(Vec<(Arc<str>, OldField)>),
}

/// A field of a row before a change.
#[derive(Clone, Debug)]
pub enum OldField {
    /// `__typename`, as JSON.
    Known(Arc<str>),
    /// A column.
    Column(ColumnId),
}

impl Selection {
    /// Every selection of the row, in order.
    pub fn records(&self) -> impl Iterator<Item = &Rows> {
        let (one, many) = match self {
            Self::Record(rows) => (Some(rows), &[][..]),
            Self::Change(fields) => (None, fields.as_slice()),
        };
        let of_change = many.iter().filter_map(|(_, field)| match field {
            ChangeField::Record(rows) => Some(rows),
            _ => None,
        });
        one.into_iter().chain(of_change)
    }
}

/// Plans a subscription of a valid document.
///
/// # Errors
/// When it is beyond a limit, or asks for what cannot be told.
pub fn subscribe(
    model: &Model,
    document: &ExecutableDocument,
    operation: &exe::Operation,
    variables: &JsonMap,
    limits: Limits,
) -> Result<(Subscription, Shape), PlanError> {
    let introspected = JsonMap::new();
    let mut planner = Planner::new(model, document, variables, limits, &introspected);
    let mut fields = planner.collect(&[&operation.selection_set], 1)?.into_iter();
    let (Some((key, group)), None) = (fields.next(), fields.next()) else { return Err(PlanError::Roots) };
    let source = planner.source(&group)?;
    Ok((Subscription { key: key.into(), source }, planner.shape))
}

impl<'a> Planner<'a> {
    fn source(&mut self, group: &Group<'a>) -> Result<Source, PlanError> {
        let field = first(group)?;
        let name = field.name.as_str();
        let unknown = || PlanError::Unknown(name.to_owned());
        let model = self.model;
        Ok(match model.subscription.get(name).ok_or(PlanError::Roots)? {
            SubscriptionField::Listen => {
                let text = Take::Value(ValueType {
                    sql: "text".to_owned(),
                    base: 25,
                    shape: ValueShape::Scalar(Scalar::String),
                    ordered: true,
                    comparable: true,
                });
                let topic = self.argument(field, "topic").ok_or_else(unknown)?;
                let topic = self.operand(topic, text)?;
                Source::Topic(topic, self.sent(group)?)
            }
            SubscriptionField::Written(id, events, columns) => {
                let entity = self.entity(*id)?;
                let mut conditions = Vec::with_capacity(columns.len());
                for column in columns {
                    let value = &entity.columns.get(*column).ok_or_else(unknown)?.value;
                    let argument = entity.field_of(*column).ok_or_else(unknown)?;
                    let input = self.argument(field, argument).ok_or_else(unknown)?;
                    let operand = self.operand(input, Take::Value(value.clone()))?;
                    conditions.push(Condition::Compare(*column, Comparison::Eq, operand));
                }
                let selection = Selection::Record(self.record(*id, group, true, 1)?);
                Source::Changes(Box::new(Changes { entity: *id, events: *events, conditions, selection }))
            }
            SubscriptionField::Changes(change) => {
                let entity = self.entity(change.entity)?;
                let conditions = self.filter_of(entity, field)?;
                let events = match self.argument(field, "events") {
                    Some(input) if !self.null(input) => self.events(input)?,
                    _ => Events::ALL,
                };
                let selection = Selection::Change(self.change(change, group)?);
                Source::Changes(Box::new(Changes { entity: change.entity, events, conditions, selection }))
            }
        })
    }

    fn events(&mut self, input: Input<'a>) -> Result<Events, PlanError> {
        let mut events = Events::default();
        for item in self.items(input) {
            let word = self.resolve(item).and_then(Input::word);
            let event = ChangeEvent::ALL.into_iter().find(|event| Some(event.name()) == word);
            events = events.with(event.ok_or_else(|| PlanError::Unknown("events".to_owned()))?);
        }
        if events.is_empty() { Err(PlanError::Events) } else { Ok(events) }
    }

    fn sent(&mut self, group: &Group<'a>) -> Result<Vec<(Arc<str>, SentField)>, PlanError> {
        let sets: Vec<_> = group.iter().map(|field| &field.selection_set).collect();
        let mut fields = Vec::new();
        for (key, group) in self.collect(&sets, 2)? {
            let told = match first(&group)?.name.as_str() {
                "__typename" => SentField::Known(typename("Sent")),
                "topic" => SentField::Topic,
                "event" => SentField::Event,
                "payload" => SentField::Payload,
                other => return Err(PlanError::Unknown(other.to_owned())),
            };
            fields.push((key.into(), told));
        }
        Ok(fields)
    }

    fn change(
        &mut self,
        change: &ChangeType,
        group: &Group<'a>,
    ) -> Result<Vec<(Arc<str>, ChangeField)>, PlanError> {
        let sets: Vec<_> = group.iter().map(|field| &field.selection_set).collect();
        let mut fields = Vec::new();
        for (key, group) in self.collect(&sets, 2)? {
            let told = match first(&group)?.name.as_str() {
                "__typename" => ChangeField::Known(typename(&change.name)),
                "event" => ChangeField::Event,
                "cursor" => ChangeField::Cursor,
                "record" => ChangeField::Record(self.record(change.entity, &group, false, 2)?),
                "old" => ChangeField::Old(self.old(change, &group)?),
                other => return Err(PlanError::Unknown(other.to_owned())),
            };
            fields.push((key.into(), told));
        }
        Ok(fields)
    }

    fn old(
        &mut self,
        change: &ChangeType,
        group: &Group<'a>,
    ) -> Result<Vec<(Arc<str>, OldField)>, PlanError> {
        let entity = self.entity(change.entity)?;
        let sets: Vec<_> = group.iter().map(|field| &field.selection_set).collect();
        let mut columns = Vec::new();
        for (key, group) in self.collect(&sets, 3)? {
            let name = first(&group)?.name.as_str();
            let column = if name == "__typename" {
                OldField::Known(typename(change.old.as_deref().unwrap_or_default()))
            } else {
                let found = old(entity).find(|(field, _)| *field == name);
                OldField::Column(found.ok_or_else(|| PlanError::Unknown(name.to_owned()))?.1)
            };
            columns.push((key.into(), column));
        }
        Ok(columns)
    }

    /// The row after a change.
    fn record(
        &mut self,
        id: EntityId,
        group: &Group<'a>,
        required: bool,
        depth: usize,
    ) -> Result<Rows, PlanError> {
        match self.rows(id, From::Changed, Vec::new(), Cardinality::One { required }, group, depth)? {
            Node::Rows(rows) => Ok(*rows),
            _ => Err(PlanError::Unknown("record".to_owned())),
        }
    }
}

fn first<'a>(group: &Group<'a>) -> Result<&'a exe::Field, PlanError> {
    group.first().copied().ok_or_else(|| PlanError::Unknown(String::new()))
}
