//! What an operation asks of the database, before it is SQL.
//!
//! A [`Plan`] is a tree in the shape of the response: sets of rows, what is selected of each, and where their
//! membership comes from. [`super::sql`] writes it as a statement, [`super::read_set`] tells what its result depends on.
//! It holds no values of bound variables, so that one plan serves every request of its shape ([`Shape`]).

mod aggregate;
mod arguments;
mod filter;
mod input;
mod planner;
mod shape;
mod subscription;

use std::sync::Arc;

use apollo_compiler::response::JsonMap;
use thiserror::Error;

use super::model::{ColumnId, EntityId, EnumId, FunctionId, ValueType};

pub use planner::{Limits, plan};
pub use shape::Shape;
pub use subscription::{
    ChangeField, Changes, OldField, Selection, SentField, Source, Subscription, subscribe,
};

/// What one operation does.
#[derive(Clone, Debug)]
pub struct Plan {
    /// It calls functions that write, one root after the other.
    pub mutation: bool,
    /// The response's first level, in order.
    pub roots: Vec<Root>,
}

/// A field of the response's first level.
#[derive(Clone, Debug)]
pub struct Root {
    /// Its response key.
    pub key: Arc<str>,
    /// What stands there.
    pub node: Node,
}

/// What stands at a place of the response.
#[derive(Clone, Debug)]
pub enum Node {
    /// A JSON text that is known without the database: `__typename`, introspection.
    Known(Arc<str>),
    /// A column of the row.
    Column(ColumnId),
    /// One row or many.
    Rows(Box<Rows>),
    /// An aggregate of rows.
    Aggregate(Box<Aggregate>),
    /// A function's value or values that are not rows.
    Call(Box<Call>),
}

/// Rows of one entity.
#[derive(Clone, Debug)]
pub struct Rows {
    /// Whose rows.
    pub entity: EntityId,
    /// Which rows.
    pub from: From,
    /// All of these hold.
    pub conditions: Vec<Condition>,
    /// How many there can be.
    pub cardinality: Cardinality,
    /// What is selected of each, in order, response keys unique.
    pub fields: Vec<Selected>,
}

/// One field selected of a row.
#[derive(Clone, Debug)]
pub struct Selected {
    /// The response key.
    pub key: Arc<str>,
    /// What stands there.
    pub node: Node,
}

/// Where rows come from.
#[derive(Clone, Debug)]
pub enum From {
    /// The relation itself.
    Relation,
    /// The row whose unique key has these values.
    Key(Vec<(ColumnId, Operand)>),
    /// The rows whose columns equal those of the row one level up: (its column, our column).
    Linked(Vec<(ColumnId, ColumnId)>),
    /// What a function returns.
    Function(Call),
    /// A composite column of the row one level up; a list of them is unnested.
    Composite {
        /// That column.
        column: ColumnId,
        /// It is an array.
        list: bool,
    },
    /// What the mutation's function returned: an array of rows as text, the statement's first parameter.
    Returned,
    /// The row that a subscription's change left, by primary key.
    Changed,
}

/// How many rows there can be.
#[derive(Clone, Debug)]
pub enum Cardinality {
    /// One or none.
    One {
        /// None would be an error, since the schema says non-null.
        required: bool,
    },
    /// A list.
    Many(Window),
    /// A list whose elements may be null: an array of rows, or a set of rows of no relation.
    Array {
        /// The list itself may be null.
        null: bool,
    },
}

/// Which part of a list.
#[derive(Clone, Debug, Default)]
pub struct Window {
    /// The order asked for; the primary key follows, so that it is total.
    pub order: Vec<Order>,
    /// At most so many; absent, more rows than the limit of the server are an error.
    pub limit: Option<Operand>,
    /// So many are skipped.
    pub offset: Option<Operand>,
}

/// One key of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// By this column.
    pub column: ColumnId,
    /// Largest first.
    pub descending: bool,
    /// Where nulls go, if not where Postgres puts them (last when ascending).
    pub nulls_first: Option<bool>,
}

/// An aggregate of rows.
#[derive(Clone, Debug)]
pub struct Aggregate {
    /// Whose rows.
    pub entity: EntityId,
    /// [`From::Relation`] or [`From::Linked`].
    pub from: From,
    /// All of these hold.
    pub conditions: Vec<Condition>,
    /// What is asked, in order.
    pub fields: Vec<(Arc<str>, Measure)>,
}

/// A field of an aggregate.
#[derive(Clone, Debug)]
pub enum Measure {
    /// `__typename`, as JSON.
    Known(Arc<str>),
    /// `count(*)`
    Count,
    /// `sum { .. }` and its like: response key, column (`None` is `__typename`'s JSON in the key's place).
    Of(Operation, Vec<(Arc<str>, Measured)>),
}

/// What stands in `sum { .. }`.
#[derive(Clone, Debug)]
pub enum Measured {
    /// `__typename`, as JSON.
    Known(Arc<str>),
    /// The aggregate of this column.
    Column(ColumnId),
}

/// An aggregate function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// `sum`
    Sum,
    /// `avg`
    Avg,
    /// `min`
    Min,
    /// `max`
    Max,
}

/// A call of a function.
#[derive(Clone, Debug)]
pub struct Call {
    /// Which function. Where it is of a row, that row is its first argument.
    pub function: FunctionId,
    /// Arguments that are given: (place in [`super::model::Function::arguments`], value).
    pub arguments: Vec<(usize, Operand)>,
}

/// A condition on a row, three-valued as in SQL.
#[derive(Clone, Debug)]
pub enum Condition {
    /// All hold.
    And(Vec<Condition>),
    /// One holds.
    Or(Vec<Condition>),
    /// It does not hold.
    Not(Box<Condition>),
    /// A column compared with a value.
    Compare(ColumnId, Comparison, Operand),
    /// A column is null, or is not.
    Null(ColumnId, bool),
    /// A row of the other entity is linked to this one and fulfils the condition.
    Exists {
        /// The other entity.
        target: EntityId,
        /// (our column, its column)
        on: Vec<(ColumnId, ColumnId)>,
        /// What it fulfils.
        condition: Box<Condition>,
    },
}

/// How a column is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `=`
    Eq,
    /// `<>`
    Neq,
    /// `>`
    Gt,
    /// `>=`
    Gte,
    /// `<`
    Lt,
    /// `<=`
    Lte,
    /// `= any(..)`; the operand is an array.
    In,
    /// `like`
    Like,
    /// `ilike`
    Ilike,
    /// `^@`
    StartsWith,
    /// `~`
    Regex,
    /// `@>` of arrays; the operand is an array.
    Contains,
}

/// A value that becomes a parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operand {
    /// A value of the document: its text in Postgres, or NULL.
    Constant(Option<Arc<str>>, Arc<Take>),
    /// The value of a variable, by its name.
    Variable(Arc<str>, Arc<Take>),
}

/// What a parameter takes, and so how a value becomes its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Take {
    /// A value of this type.
    Value(ValueType),
    /// An array of values of this type, for `in`.
    Any(ValueType),
    /// A text, whatever the column's type: patterns.
    Pattern,
    /// A number of rows: 0 to this.
    Count(u32),
}

/// Why an operation that is valid GraphQL is not carried out.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PlanError {
    /// Fields in fields.
    #[error("the operation is nested deeper than {limit} levels")]
    Depth {
        /// The setting.
        limit: usize,
    },
    /// All in all.
    #[error(
        "the operation costs more than {limit}: a field, also one of a filter, costs 1, each set of rows, aggregate or \
         function 10"
    )]
    Cost {
        /// The setting.
        limit: usize,
    },
    /// A list that is too long, or a negative number.
    #[error("{argument} is {given}; it can be 0 to {limit}")]
    Count {
        /// The argument.
        argument: &'static str,
        /// What was given.
        given: String,
        /// The largest.
        limit: u32,
    },
    /// A comparison with null, which is never true in SQL.
    #[error("nothing compares to null with `{operator}`; `{{is: NULL}}` and `{{is: NOT_NULL}}` ask for it")]
    Null {
        /// The operator.
        operator: String,
    },
    /// An order of several columns in one object has no order.
    #[error("each object of `orderBy` names exactly one field; write a list: [{{a: ASC}}, {{b: DESC}}]")]
    Order,
    /// An argument that SQL takes by place, with one before it left out.
    #[error(
        "`{argument}` cannot be given while an argument before it is left out, since they have no names in SQL"
    )]
    Place {
        /// The argument.
        argument: String,
    },
    /// A value that does not fit a custom scalar.
    #[error("a value of `{scalar}` cannot be {given}")]
    Value {
        /// The GraphQL type.
        scalar: String,
        /// What was given instead.
        given: &'static str,
    },
    /// A subscription of none or several fields, or of `__typename`.
    #[error("a subscription has exactly one field, which is one of the type `Subscription`'s own")]
    Roots,
    /// `events: []`
    #[error("`events` names no event, so that nothing would ever be told; leave it out for all of them")]
    Events,
    /// Something that hangs on a row without a key.
    #[error(
        "`{field}` cannot be told: rows of `{table}` have no primary key by which they could be read again; leave it out, \
         or have the table get one"
    )]
    Keyless {
        /// The field.
        field: String,
        /// The object type.
        table: String,
    },
    /// `__schema` or `__type`.
    #[error("introspection is turned off on this server")]
    Introspection,
    /// The model lacks what the schema's text offers: a fault of ours.
    #[error("`{0}` is in the schema, but nobody knows what it means")]
    Unknown(String),
}

impl Operand {
    /// The parameter's text for these variables.
    ///
    /// # Errors
    /// When the variable's value does not fit.
    pub fn bind(
        &self,
        variables: &JsonMap,
        enums: &[super::model::Enum],
    ) -> Result<Option<String>, PlanError> {
        match self {
            Self::Constant(text, _) => Ok(text.as_deref().map(str::to_owned)),
            Self::Variable(name, take) => match variables.get(name.as_ref()) {
                None => Ok(None),
                Some(value) => input::text(input::Input::Json(value), take, enums),
            },
        }
    }

    /// What it takes.
    #[must_use]
    pub fn take(&self) -> &Take {
        match self {
            Self::Constant(_, take) | Self::Variable(_, take) => take,
        }
    }
}

/// The label of an enum's GraphQL value.
fn label<'a>(enums: &'a [super::model::Enum], id: EnumId, value: &str) -> Option<&'a str> {
    let values = &enums.get(id)?.values;
    values.iter().find(|(name, _)| name == value).map(|(_, label)| label.as_str())
}

impl Rows {
    /// The columns by which a live query knows a row and what hangs on it: the primary key, then the columns that
    /// links and declared dependencies of functions further down start from.
    #[must_use]
    pub fn identity(&self, model: &super::model::Model) -> Vec<ColumnId> {
        let Some(entity) = model.entities.get(self.entity) else { return Vec::new() };
        let mut more = Vec::new();
        for field in &self.fields {
            let (from, call) = match &field.node {
                Node::Rows(rows) => (Some(&rows.from), None),
                Node::Aggregate(aggregate) => (Some(&aggregate.from), None),
                Node::Call(call) => (None, Some(&**call)),
                Node::Known(_) | Node::Column(_) => (None, None),
            };
            let call = match from {
                Some(From::Linked(on)) => {
                    more.extend(on.iter().map(|(ours, _)| *ours));
                    None
                }
                Some(From::Function(call)) => Some(call),
                _ => call,
            };
            let reads =
                call.and_then(|call| model.functions.get(call.function)).map(|function| &function.reads);
            if let Some(super::model::Reads::Tables(tables)) = reads {
                more.extend(tables.iter().flat_map(|table| table.on.iter().map(|(_, ours)| *ours)));
            }
        }
        more.sort_unstable();
        more.dedup();
        more.retain(|column| !entity.key.contains(column));
        entity.key.iter().copied().chain(more).collect()
    }
}
