//! The model's text in GraphQL's schema definition language (specification, section 3).

mod aggregates;
mod description;
mod leaves;
mod rows;
mod subscriptions;

use super::model::{Argument, EntityId, Function, Model, RootField, Shape, ValueType};
use super::modelling::functions::input_name;
use super::text::text;
use description::described;
use leaves::Leaves;
use rows::selection;

/// What the server does beyond the specification's own directives.
const DIRECTIVES: &str = "\
\"\"\"
Keeps the result of a query up to date: it is sent again whenever the data behind it has changed. `throttle` is the
least time between two results in milliseconds.
\"\"\"
directive @live(if: Boolean = true, throttle: Int) on QUERY

\"\"\"Allows the server to send this part of the result later.\"\"\"
directive @defer(if: Boolean! = true, label: String) on FRAGMENT_SPREAD | INLINE_FRAGMENT

\"\"\"Allows the server to send the items of this list after the first `initialCount` later.\"\"\"
directive @stream(if: Boolean! = true, label: String, initialCount: Int = 0) on FIELD
";

/// The schema of a model.
#[must_use]
pub fn sdl(model: &Model) -> String {
    let mut sdl = Sdl { model, text: DIRECTIVES.to_owned(), leaves: Leaves::default() };
    sdl.roots();
    sdl.subscriptions();
    for entity in &model.entities {
        sdl.object(entity);
        if entity.selectable {
            sdl.inputs(entity);
            sdl.aggregates(entity);
        }
    }
    for (field, function) in &model.mutation {
        if let Some(function) =
            model.functions.get(*function).filter(|function| !function.arguments.is_empty())
        {
            sdl.input_of(field, function);
        }
    }
    sdl.leaves();
    sdl.text
}

/// A text that is being written.
struct Sdl<'a> {
    model: &'a Model,
    text: String,
    /// Scalars and filters that were mentioned, which follow at the end.
    leaves: Leaves,
}

impl Sdl<'_> {
    /// `type Query { .. }` and the like.
    fn block(&mut self, kind: &str, name: &str, description: Option<&str>, fields: &[Line]) {
        self.text.push('\n');
        described(&mut self.text, description, "");
        text!(self.text, "{kind} {name} {{\n");
        for field in fields {
            described(&mut self.text, field.description.as_deref(), "  ");
            text!(self.text, "  {}\n", field.text);
        }
        self.text.push_str("}\n");
    }

    fn roots(&mut self) {
        let query: Vec<_> =
            self.model.query.iter().filter_map(|(name, field)| self.root(name, field)).collect();
        self.block("type", "Query", None, &query);
        let mut mutation = Vec::new();
        for (name, function) in &self.model.mutation {
            let Some(function) = self.model.functions.get(*function) else { continue };
            let input = if function.arguments.is_empty() {
                String::new()
            } else {
                format!("(input: {}!)", input_name(name))
            };
            let returns = self.returns(function);
            mutation.push(Line::new(format!("{name}{input}: {returns}"), function.description.clone()));
        }
        if !mutation.is_empty() {
            self.block("type", "Mutation", None, &mutation);
        }
    }

    fn root(&mut self, name: &str, field: &RootField) -> Option<Line> {
        let entity = |id: EntityId| self.model.entities.get(id);
        Some(match field {
            RootField::List(id) => {
                let entity = entity(*id)?;
                let arguments = selection(entity).join(", ");
                Line::from(format!("{name}({arguments}): [{}!]!", entity.name))
            }
            RootField::ByKey(id, key) => {
                let entity = entity(*id)?;
                let mut arguments = Vec::new();
                for column in key {
                    let value = self.name(&entity.columns.get(*column)?.value);
                    arguments.push(format!("{}: {value}!", entity.field_of(*column)?));
                }
                Line::from(format!("{name}({}): {}", arguments.join(", "), entity.name))
            }
            RootField::Aggregate(id) => {
                let entity = &entity(*id)?.name;
                Line::from(format!("{name}(filter: {entity}Filter): {entity}Aggregate!"))
            }
            RootField::Function(id) => self.function(name, self.model.functions.get(*id)?),
        })
    }

    fn function(&mut self, name: &str, function: &Function) -> Line {
        let mut arguments: Vec<_> =
            function.arguments.iter().map(|argument| self.argument(argument)).collect();
        if let Some(ValueType { shape: Shape::Composite(entity), .. }) = &function.returns
            && self.model.is_selection(function)
            && let Some(entity) = self.model.entities.get(*entity)
        {
            arguments.extend(selection(entity));
        }
        let arguments =
            if arguments.is_empty() { String::new() } else { format!("({})", arguments.join(", ")) };
        let returns = self.returns(function);
        Line::new(format!("{name}{arguments}: {returns}"), function.description.clone())
    }

    fn argument(&mut self, argument: &Argument) -> String {
        let value = self.name(&argument.value);
        let required = if argument.required { "!" } else { "" };
        format!("{}: {value}{required}", argument.field)
    }

    fn returns(&mut self, function: &Function) -> String {
        let Some(value) = &function.returns else { return "Boolean".to_owned() };
        let name = self.name(value);
        let entity = match value.shape {
            Shape::Composite(entity) => self.model.entities.get(entity),
            _ => None,
        };
        match (function.returns_set, entity.is_some_and(|entity| entity.selectable)) {
            (false, _) => name,
            (true, true) => format!("[{name}!]!"),
            (true, false) => format!("[{name}]!"),
        }
    }

    fn input_of(&mut self, field: &str, function: &Function) {
        let fields: Vec<_> =
            function.arguments.iter().map(|argument| Line::from(self.argument(argument))).collect();
        self.block("input", &input_name(field), None, &fields);
    }

    /// The type of a value, without `!`.
    fn name(&mut self, value: &ValueType) -> String {
        match &value.shape {
            Shape::Scalar(scalar) => {
                self.leaves.mention(scalar);
                scalar.name().to_owned()
            }
            Shape::Enum(id) => self.model.enums.get(*id).map(|kind| kind.name.clone()).unwrap_or_default(),
            Shape::List(element) => format!("[{}]", self.name(element)),
            Shape::Composite(id) => {
                self.model.entities.get(*id).map(|row| row.name.clone()).unwrap_or_default()
            }
        }
    }
}

/// A field, an argument or a value of an enum.
struct Line {
    text: String,
    description: Option<String>,
}

impl Line {
    fn new(text: String, description: Option<String>) -> Self {
        Self { text, description }
    }
}

impl From<String> for Line {
    fn from(text: String) -> Self {
        Self { text, description: None }
    }
}
