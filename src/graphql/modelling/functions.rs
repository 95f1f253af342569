//! Functions as fields: of their row, of `Query` or of `Mutation`.

use std::collections::HashSet;

use super::names::{of_function, signature};
use super::roots::is_input;
use super::{Draft, reads};
use crate::graphql::catalog::{self, TypeKind, Volatility};
use crate::graphql::model::{
    Argument, EntityId, Field, Function, FunctionId, Model, RootField, Shape, ValueType,
};
use crate::graphql::naming::{self, Taken};
use crate::graphql::tags::Tags;

/// Where a function's field is.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Place {
    Row(EntityId),
    Query,
    Mutation,
}

pub(super) fn add(draft: &mut Draft<'_>) {
    let mut sorted: Vec<_> =
        draft.catalog.functions.iter().map(|function| (signature(draft, function), function)).collect();
    // Of overloads the one with the fewest arguments comes first.
    sorted.sort_by(|(one, this), (other, that)| {
        (&this.schema, &this.name, this.arguments.len(), one).cmp(&(
            &that.schema,
            &that.name,
            that.arguments.len(),
            other,
        ))
    });
    let mut seen = HashSet::new();
    let mut mutations = Taken::default();
    for (signature, function) in sorted {
        let tags = draft.names.tags(&of_function(function), function.comment.as_deref());
        if tags.omit {
            continue;
        }
        let wanted = tags.name.clone().unwrap_or_else(|| naming::field(&function.name));
        let placed = place(draft, function).and_then(|place| {
            if seen.contains(&(place, &function.schema, &function.name, wanted.clone())) {
                return Err("another of this name has fewer arguments, or comes before it");
            }
            Ok((place, resolve(draft, function, place, &tags)?))
        });
        match placed {
            Ok((place, resolved)) => {
                seen.insert((place, &function.schema, &function.name, wanted.clone()));
                insert(draft, &mut mutations, place, wanted, resolved, &signature);
            }
            Err(reason) => draft.remark(format!("the function {signature} is not offered: {reason}")),
        }
    }
}

fn is_array_of_rows(value: &ValueType) -> bool {
    match &value.shape {
        Shape::List(element) => matches!(element.shape, Shape::Composite(_)) || is_array_of_rows(element),
        Shape::Scalar(_) | Shape::Enum(_) | Shape::Composite(_) => false,
    }
}

/// The relation whose rows an argument is.
fn row_of(draft: &Draft<'_>, argument: &catalog::Argument) -> Option<catalog::Oid> {
    match draft.types.base(argument.kind)?.kind {
        TypeKind::Composite(relation) => Some(relation),
        _ => None,
    }
}

fn place(draft: &Draft<'_>, function: &catalog::Function) -> Result<Place, &'static str> {
    let volatile = function.volatility == Volatility::Volatile;
    let row = function.arguments.first().and_then(|argument| row_of(draft, argument));
    match row.map(|relation| draft.entities.get(&relation)) {
        None if volatile => Ok(Place::Mutation),
        None => Ok(Place::Query),
        Some(_) if volatile => Err("it takes a row and is VOLATILE"),
        Some(Some(entity)) if draft.model.entities.get(*entity).is_some_and(|entity| entity.selectable) => {
            Ok(Place::Row(*entity))
        }
        Some(_) => Err("it takes a composite value"),
    }
}

fn resolve(
    draft: &mut Draft<'_>,
    function: &catalog::Function,
    place: Place,
    tags: &Tags,
) -> Result<Function, &'static str> {
    let returns = match function.returns {
        Some(kind) => Some(draft.types.value(kind).ok_or("what it returns is not offered")?),
        None => None,
    };
    if returns.as_ref().is_some_and(is_array_of_rows) {
        return Err("it returns an array of rows; a set of rows can be offered");
    }
    let mut names = Taken::default();
    if place != Place::Mutation && is_selection(&draft.model, function.returns_set, returns.as_ref()) {
        for name in ["filter", "orderBy", "limit", "offset"] {
            names.take(name);
        }
    }
    let of = match place {
        Place::Row(entity) => Some(entity),
        Place::Query | Place::Mutation => None,
    };
    let mut arguments = Vec::new();
    for (place, argument) in function.arguments.iter().enumerate().skip(usize::from(of.is_some())) {
        let name = argument.name.as_deref().filter(|name| !name.is_empty());
        let is_id = name.is_some_and(|name| draft.types.is_id(name, argument.kind));
        let value = if is_id { draft.types.id(argument.kind) } else { draft.types.value(argument.kind) };
        let value = value.filter(|value| is_input(&value.shape)).ok_or("it takes a composite value")?;
        let wanted = name.map_or_else(|| format!("argument{}", place + 1), naming::field);
        // As columns do whose names filters need for themselves.
        let field = names.claim(&[wanted.clone(), format!("{wanted}_")]);
        if field != wanted {
            let of = signature(draft, function);
            draft.remark_name(&format!("an argument of {of}"), "", &[wanted], &field);
        }
        arguments.push(Argument {
            field,
            name: name.map(str::to_owned),
            place,
            value,
            required: !argument.has_default,
        });
    }
    Ok(Function {
        field: String::new(),
        oid: function.oid,
        schema: function.schema.clone(),
        name: function.name.clone(),
        description: tags.description.clone(),
        volatility: function.volatility,
        of,
        arguments,
        returns,
        returns_set: function.returns_set,
        reads: reads::of(draft, function, of, tags),
    })
}

fn insert(
    draft: &mut Draft<'_>,
    mutations: &mut Taken,
    place: Place,
    wanted: String,
    function: Function,
    signature: &str,
) {
    let id: FunctionId = draft.model.functions.len();
    let wanted = [wanted];
    let what = format!("the function {signature}");
    let field = match place {
        Place::Row(entity) => draft.add_field(entity, &wanted, Field::Function(id), &what),
        Place::Query => {
            let name = draft.claim_query(&wanted, &what);
            draft.model.query.insert(name.clone(), RootField::Function(id));
            Some(name)
        }
        Place::Mutation => {
            let name = claim_mutation(draft, mutations, &wanted, &function);
            draft.remark_name(&what, "Mutation.", &wanted, &name);
            draft.model.mutation.insert(name.clone(), id);
            Some(name)
        }
    };
    if let Some(field) = field {
        draft.model.functions.push(Function { field, ..function });
    }
}

/// A mutation's name stands for its input's, too.
fn claim_mutation(
    draft: &mut Draft<'_>,
    mutations: &mut Taken,
    wanted: &[String; 1],
    function: &Function,
) -> String {
    loop {
        // One whose input's name is taken stays taken here, so that the next turn gives another.
        let name = mutations.claim(wanted);
        if function.arguments.is_empty() || draft.type_names.take(&input_name(&name)) {
            return name;
        }
    }
}

/// The input type of the mutation `field`.
#[must_use]
pub(crate) fn input_name(field: &str) -> String {
    format!("{}Input", naming::capitalised(field))
}

/// A function's result is a list of rows that can be filtered and ordered like a relation's.
fn is_selection(model: &Model, returns_set: bool, returns: Option<&ValueType>) -> bool {
    let row = returns.and_then(|value| match value.shape {
        Shape::Composite(entity) => model.entities.get(entity),
        _ => None,
    });
    returns_set && row.is_some_and(|entity| entity.selectable)
}

impl Model {
    /// The rows that a function gives can be filtered, ordered and cut like those of their relation. Those of a
    /// mutation cannot: it has one argument, and its result is what was written.
    #[must_use]
    pub fn is_selection(&self, function: &Function) -> bool {
        function.volatility != Volatility::Volatile
            && is_selection(self, function.returns_set, function.returns.as_ref())
    }
}
