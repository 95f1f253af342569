//! From a valid operation to its plan.

use std::collections::BTreeSet;
use std::sync::Arc;

use apollo_compiler::ExecutableDocument;
use apollo_compiler::ast::Value;
use apollo_compiler::executable::{self as exe, Selection, SelectionSet};
use apollo_compiler::response::{JsonMap, JsonValue};
use indexmap::IndexMap;

use super::input::Input;
use super::{
    Call, Cardinality, From, Node, Operand, Order, Plan, PlanError, Root, Rows, Selected, Shape, Take, Window,
};
use crate::graphql::model::{
    Entity, EntityId, Field, FunctionId, Model, Relationship, RootField, Shape as ValueShape, ValueType,
};

/// What an operation may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Levels of fields in fields.
    pub depth: usize,
    /// See [`PlanError::Cost`].
    pub cost: usize,
    /// Rows in one list.
    pub rows: u32,
    /// `__schema` and `__type` are answered.
    pub introspection: bool,
}

/// Plans one operation of a valid document. `introspected` holds the answers of `__schema` and `__type` by response
/// key.
///
/// # Errors
/// When it is beyond a limit, or asks for what SQL cannot express.
pub fn plan(
    model: &Model,
    document: &ExecutableDocument,
    operation: &exe::Operation,
    variables: &JsonMap,
    limits: Limits,
    introspected: &JsonMap,
) -> Result<(Plan, Shape), PlanError> {
    let mut planner = Planner::new(model, document, variables, limits, introspected);
    let mutation = operation.is_mutation();
    let fields = planner.collect(&[&operation.selection_set], 1)?;
    let mut roots = Vec::with_capacity(fields.len());
    for (key, group) in fields {
        let node = planner.root(mutation, operation.object_type(), key, &group)?;
        roots.push(Root { key: key.into(), node });
    }
    Ok((Plan { mutation, roots }, planner.shape))
}

/// Fields that are selected under one response key. At least one.
pub(super) type Group<'a> = Vec<&'a exe::Field>;

pub(super) struct Planner<'a> {
    pub(super) model: &'a Model,
    document: &'a ExecutableDocument,
    pub(super) variables: &'a JsonMap,
    limits: Limits,
    introspected: &'a JsonMap,
    cost: usize,
    pub(super) shape: Shape,
}

impl<'a> Planner<'a> {
    pub(super) fn new(
        model: &'a Model,
        document: &'a ExecutableDocument,
        variables: &'a JsonMap,
        limits: Limits,
        introspected: &'a JsonMap,
    ) -> Self {
        Self { model, document, variables, limits, introspected, cost: 0, shape: Shape::default() }
    }

    pub(super) fn spend(&mut self, cost: usize) -> Result<(), PlanError> {
        self.cost += cost;
        if self.cost > self.limits.cost { Err(PlanError::Cost { limit: self.limits.cost }) } else { Ok(()) }
    }

    /// The fields of these selection sets, merged by response key in the order in which they are met
    /// (specification, 6.3.2 "Field Collection").
    pub(super) fn collect(
        &mut self,
        sets: &[&'a SelectionSet],
        depth: usize,
    ) -> Result<IndexMap<&'a str, Group<'a>>, PlanError> {
        if depth > self.limits.depth {
            return Err(PlanError::Depth { limit: self.limits.depth });
        }
        let mut fields = IndexMap::new();
        let mut visited = BTreeSet::new();
        for set in sets {
            self.collect_into(&mut fields, set, &mut visited)?;
        }
        Ok(fields)
    }

    fn collect_into(
        &mut self,
        fields: &mut IndexMap<&'a str, Group<'a>>,
        set: &'a SelectionSet,
        visited: &mut BTreeSet<&'a str>,
    ) -> Result<(), PlanError> {
        for selection in &set.selections {
            // Every visit counts: fragments in fragments multiply.
            self.spend(1)?;
            if !self.included(selection.directives()) {
                continue;
            }
            match selection {
                Selection::Field(field) => {
                    fields.entry(field.response_key().as_str()).or_default().push(field);
                }
                Selection::InlineFragment(inline) => {
                    self.collect_into(fields, &inline.selection_set, visited)?;
                }
                Selection::FragmentSpread(spread) => {
                    if visited.insert(spread.fragment_name.as_str())
                        && let Some(fragment) = self.document.fragments.get(&spread.fragment_name)
                    {
                        self.collect_into(fields, &fragment.selection_set, visited)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn included(&mut self, directives: &exe::DirectiveList) -> bool {
        !self.condition(directives, "skip").unwrap_or(false)
            && self.condition(directives, "include").unwrap_or(true)
    }

    fn condition(&mut self, directives: &exe::DirectiveList, name: &str) -> Option<bool> {
        let value = directives.get(name)?.specified_argument_by_name("if")?;
        match value.as_ref() {
            Value::Boolean(value) => Some(*value),
            Value::Variable(variable) => {
                self.shape.depend(variable);
                self.variables.get(variable.as_str())?.as_bool()
            }
            _ => None,
        }
    }

    fn root(&mut self, mutation: bool, of: &str, key: &str, group: &Group<'a>) -> Result<Node, PlanError> {
        let Some(field) = group.first() else { return Err(PlanError::Unknown(key.to_owned())) };
        let name = field.name.as_str();
        if name == "__typename" {
            return Ok(Node::Known(typename(of)));
        }
        if name == "__schema" || name == "__type" {
            if !self.limits.introspection {
                return Err(PlanError::Introspection);
            }
            let known = self.introspected.get(key).unwrap_or(&JsonValue::Null);
            return Ok(Node::Known(known.to_string().into()));
        }
        let model = self.model;
        if mutation {
            let function = *model.mutation.get(name).ok_or_else(|| PlanError::Unknown(name.to_owned()))?;
            return self.function(function, group, 1, Some("input"));
        }
        match model.query.get(name).ok_or_else(|| PlanError::Unknown(name.to_owned()))? {
            RootField::List(entity) => self.list(*entity, From::Relation, group, 1),
            RootField::Aggregate(entity) => self.aggregate(*entity, From::Relation, group, 1),
            RootField::Function(function) => self.function(*function, group, 1, None),
            RootField::ByKey(id, columns) => {
                let entity = self.entity(*id)?;
                let mut key = Vec::with_capacity(columns.len());
                for column in columns {
                    let unknown = || PlanError::Unknown(name.to_owned());
                    let value = &entity.columns.get(*column).ok_or_else(unknown)?.value;
                    let argument = field_of(entity, *column).ok_or_else(unknown)?;
                    let input = self.argument(field, argument).ok_or_else(unknown)?;
                    key.push((*column, self.operand(input, Take::Value(value.clone()))?));
                }
                let cardinality = Cardinality::One { required: false };
                self.rows(*id, From::Key(key), Vec::new(), cardinality, group, 1)
            }
        }
    }

    pub(super) fn entity(&self, id: EntityId) -> Result<&'a Entity, PlanError> {
        self.model.entities.get(id).ok_or_else(|| PlanError::Unknown(format!("entity {id}")))
    }

    /// The rows of a list field, with its `filter`, `orderBy`, `limit` and `offset`.
    fn list(&mut self, id: EntityId, from: From, group: &Group<'a>, depth: usize) -> Result<Node, PlanError> {
        let Some(field) = group.first() else { return Err(PlanError::Unknown(String::new())) };
        let entity = self.entity(id)?;
        let conditions = self.filter_of(entity, field)?;
        let order = match self.argument(field, "orderBy") {
            Some(input) => self.order(entity, input)?,
            None => Vec::new(),
        };
        let limit = self.count(field, "limit", self.limits.rows)?;
        let offset = self.count(field, "offset", i32::MAX.cast_unsigned())?;
        let cardinality = Cardinality::Many(Window { order, limit, offset });
        self.rows(id, from, conditions, cardinality, group, depth)
    }

    pub(super) fn filter_of(
        &mut self,
        entity: &'a Entity,
        field: &'a exe::Field,
    ) -> Result<Vec<super::Condition>, PlanError> {
        match self.argument(field, "filter") {
            Some(input) => self.filter(entity, input),
            None => Ok(Vec::new()),
        }
    }

    fn count(
        &mut self,
        field: &'a exe::Field,
        argument: &'static str,
        limit: u32,
    ) -> Result<Option<Operand>, PlanError> {
        let Some(input) = self.argument(field, argument).filter(|input| !self.null(*input)) else {
            return Ok(None);
        };
        self.operand(input, Take::Count(limit)).map(Some).map_err(|error| match error {
            PlanError::Count { given, limit, .. } => PlanError::Count { argument, given, limit },
            other => other,
        })
    }

    fn order(&mut self, entity: &'a Entity, input: Input<'a>) -> Result<Vec<Order>, PlanError> {
        let mut order: Vec<Order> = Vec::new();
        for one in self.items(input) {
            let mut fields = self.fields(one).into_iter();
            let (Some((name, direction)), None) = (fields.next(), fields.next()) else {
                return Err(PlanError::Order);
            };
            let Some(Field::Column(column)) = entity.fields.get(name) else {
                return Err(PlanError::Unknown(name.to_owned()));
            };
            let direction = self.resolve(direction).and_then(Input::word).ok_or(PlanError::Order)?;
            let (descending, nulls_first) = match direction {
                "ASC" => (false, None),
                "ASC_NULLS_FIRST" => (false, Some(true)),
                "ASC_NULLS_LAST" => (false, Some(false)),
                "DESC" => (true, None),
                "DESC_NULLS_FIRST" => (true, Some(true)),
                "DESC_NULLS_LAST" => (true, Some(false)),
                other => return Err(PlanError::Unknown(other.to_owned())),
            };
            // A column that came before has decided already.
            if !order.iter().any(|known| known.column == *column) {
                order.push(Order { column: *column, descending, nulls_first });
            }
        }
        Ok(order)
    }

    pub(super) fn rows(
        &mut self,
        id: EntityId,
        from: From,
        conditions: Vec<super::Condition>,
        cardinality: Cardinality,
        group: &Group<'a>,
        depth: usize,
    ) -> Result<Node, PlanError> {
        self.spend(10)?;
        let entity = self.entity(id)?;
        let sets: Vec<_> = group.iter().map(|field| &field.selection_set).collect();
        let mut fields = Vec::new();
        for (key, group) in self.collect(&sets, depth + 1)? {
            let node = self.selected(entity, key, &group, depth + 1)?;
            fields.push(Selected { key: key.into(), node });
        }
        Ok(Node::Rows(Box::new(Rows { entity: id, from, conditions, cardinality, fields })))
    }

    fn selected(
        &mut self,
        entity: &'a Entity,
        key: &str,
        group: &Group<'a>,
        depth: usize,
    ) -> Result<Node, PlanError> {
        let Some(field) = group.first() else { return Err(PlanError::Unknown(key.to_owned())) };
        let name = field.name.as_str();
        if name == "__typename" {
            return Ok(Node::Known(typename(&entity.name)));
        }
        match entity.fields.get(name).ok_or_else(|| PlanError::Unknown(name.to_owned()))? {
            Field::Column(column) => {
                let value = entity.columns.get(*column).map(|column| &column.value);
                match value.and_then(composite) {
                    None => Ok(Node::Column(*column)),
                    Some((target, list)) => {
                        let from = From::Composite { column: *column, list };
                        self.rows(target, from, Vec::new(), cardinality(list), group, depth)
                    }
                }
            }
            Field::One(relation) => {
                let cardinality = Cardinality::One { required: relation.required };
                self.rows(relation.target, linked(relation), Vec::new(), cardinality, group, depth)
            }
            Field::Many(relation) => self.list(relation.target, linked(relation), group, depth),
            Field::Aggregate(relation) => self.aggregate(relation.target, linked(relation), group, depth),
            Field::Function(function) => self.function(*function, group, depth, None),
        }
    }

    /// A function's field. Its arguments are the field's, or the fields of the argument `within`.
    fn function(
        &mut self,
        id: FunctionId,
        group: &Group<'a>,
        depth: usize,
        within: Option<&str>,
    ) -> Result<Node, PlanError> {
        let (Some(field), Some(function)) = (group.first(), self.model.functions.get(id)) else {
            return Err(PlanError::Unknown(format!("function {id}")));
        };
        let given: IndexMap<&str, Input<'a>> = match within {
            Some(name) => self
                .argument(field, name)
                .map(|input| self.fields(input))
                .unwrap_or_default()
                .into_iter()
                .collect(),
            None => field
                .arguments
                .iter()
                .map(|argument| (argument.name.as_str(), Input::Literal(argument.value.as_ref())))
                .collect(),
        };
        let mut arguments = Vec::new();
        let mut left_out = false;
        for (place, argument) in function.arguments.iter().enumerate() {
            match given.get(argument.field.as_str()).and_then(|input| self.resolve_kept(*input)) {
                Some(_) if left_out && argument.name.is_none() => {
                    return Err(PlanError::Place { argument: argument.field.clone() });
                }
                Some(input) => {
                    arguments.push((place, self.operand(input, Take::Value(argument.value.clone()))?));
                }
                None => left_out = true,
            }
        }
        let call = Call { function: id, arguments };
        let Some((target, list)) = function.returns.as_ref().and_then(composite) else {
            self.spend(10)?;
            return Ok(Node::Call(Box::new(call)));
        };
        let from = From::Function(call);
        let cardinality = match (function.returns_set, self.entity(target)?.selectable) {
            (true, true) if within.is_none() => return self.list(target, from, group, depth),
            (true, true) => Cardinality::Many(Window::default()),
            (true, false) => Cardinality::Array { null: false },
            (false, _) => cardinality(list),
        };
        self.rows(target, from, Vec::new(), cardinality, group, depth)
    }
}

fn linked(relation: &Relationship) -> From {
    From::Linked(relation.on.clone())
}

fn cardinality(list: bool) -> Cardinality {
    if list { Cardinality::Array { null: true } } else { Cardinality::One { required: false } }
}

/// The entity of a composite value, and whether it is a list of them.
fn composite(value: &ValueType) -> Option<(EntityId, bool)> {
    match &value.shape {
        ValueShape::Composite(entity) => Some((*entity, false)),
        ValueShape::List(item) => composite(item).map(|(entity, _)| (entity, true)),
        _ => None,
    }
}

/// The field of a column.
fn field_of(entity: &Entity, column: usize) -> Option<&str> {
    let is = |field: &&Field| matches!(field, Field::Column(id) if *id == column);
    entity.fields.iter().find(|(_, field)| is(field)).map(|(name, _)| name.as_str())
}

/// `__typename`'s value as JSON; GraphQL names need no escapes.
pub(super) fn typename(name: &str) -> Arc<str> {
    format!("\"{name}\"").into()
}
