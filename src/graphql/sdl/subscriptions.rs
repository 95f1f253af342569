//! `Subscription` and the types of changes.

use super::{Line, Sdl};
use crate::graphql::model::{ChangeEvent, ChangeType, ColumnId, Entity, Events, Scalar, SubscriptionField};
use crate::graphql::modelling::subscriptions::old;

impl Sdl<'_> {
    pub(super) fn subscriptions(&mut self) {
        let model = self.model;
        let fields: Vec<_> =
            model.subscription.iter().filter_map(|(name, field)| self.subscription(name, field)).collect();
        let description = "What is told as it happens. An operation has one of these fields.";
        self.block("type", "Subscription", Some(description), &fields);
        self.sent();
        let mut changes = model.subscription.values().filter_map(|field| match field {
            SubscriptionField::Changes(change) => Some(change),
            SubscriptionField::Listen | SubscriptionField::Written(..) => None,
        });
        let Some(first) = changes.next() else { return };
        let events = ChangeEvent::ALL.map(|event| Line::from(event.name().to_owned()));
        self.block("enum", "ChangeEvent", Some("What happened to a row, or to all of them."), &events);
        for change in std::iter::once(first).chain(changes) {
            if let Some(entity) = model.entities.get(change.entity) {
                self.change(entity, change);
            }
        }
    }

    fn subscription(&mut self, name: &str, field: &SubscriptionField) -> Option<Line> {
        let entity = |id: usize| self.model.entities.get(id);
        Some(match field {
            SubscriptionField::Listen => described(
                format!("{name}(topic: String!): Sent!"),
                "What is sent to a topic from now on, by SQL or over HTTP.",
            ),
            SubscriptionField::Written(id, events, columns) => {
                let entity = entity(*id)?;
                let arguments = self.equal(entity, columns)?;
                let what = written(*events);
                described(
                    format!("{name}{arguments}: {}!", entity.name),
                    &format!("Rows of `{}` that are {what} from now on.", entity.relation),
                )
            }
            SubscriptionField::Changes(change) => {
                let entity = entity(change.entity)?;
                described(
                    format!(
                        "{name}(filter: {}Filter, events: [ChangeEvent!]): {}!",
                        entity.name, change.name
                    ),
                    "Changes from now on: those of rows that the filter fits, and of these events.",
                )
            }
        })
    }

    /// The arguments that columns have to equal.
    fn equal(&mut self, entity: &Entity, columns: &[ColumnId]) -> Option<String> {
        let mut arguments = Vec::new();
        for column in columns {
            let value = self.name(&entity.columns.get(*column)?.value);
            arguments.push(format!("{}: {value}!", entity.field_of(*column)?));
        }
        Some(if arguments.is_empty() { String::new() } else { format!("({})", arguments.join(", ")) })
    }

    fn sent(&mut self) {
        self.leaves.mention(&Scalar::Json);
        let fields = ["topic: String!", "event: String!", "payload: JSON!"];
        let fields = fields.map(|field| Line::from(field.to_owned()));
        self.block("type", "Sent", Some("Something that was sent to a topic."), &fields);
    }

    fn change(&mut self, entity: &Entity, change: &ChangeType) {
        let mut fields = vec![
            described("event: ChangeEvent!".to_owned(), "What happened."),
            described(
                format!("record: {}", entity.name),
                "The row after it; null where there is none (`DELETE`, `TRUNCATE`).",
            ),
        ];
        if let Some(old) = &change.old {
            let text = "The row before it, as far as the log of the database tells: the key where it is gone or \
                        has another one, the whole row under `REPLICA IDENTITY FULL`, else null.";
            fields.push(described(format!("old: {old}"), text));
        }
        fields.push(described("cursor: String!".to_owned(), "The change's place among all others."));
        let description = format!("A change of `{}`.", entity.relation);
        self.block("type", &change.name, Some(&description), &fields);
        if let Some(name) = &change.old {
            let fields: Vec<_> = old(entity)
                .filter_map(|(field, column)| {
                    let column = entity.columns.get(column)?;
                    Some(Line::new(
                        format!("{field}: {}", self.name(&column.value)),
                        column.description.clone(),
                    ))
                })
                .collect();
            let description = format!("What is known of a row of `{}` before a change.", entity.relation);
            self.block("type", name, Some(&description), &fields);
        }
    }
}

fn described(text: String, description: &str) -> Line {
    Line::new(text, Some(description.to_owned()))
}

fn written(events: Events) -> &'static str {
    match (events.contains(ChangeEvent::Insert), events.contains(ChangeEvent::Update)) {
        (true, true) => "inserted or updated",
        (true, false) => "inserted",
        (false, _) => "updated",
    }
}
