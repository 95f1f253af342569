//! The database in GraphQL's words: which field of which type means what.
//!
//! The schema's text, TypeScript's types and the planner all come from this one value, so they cannot
//! disagree. Positions in its vectors ([`EntityId`], [`EnumId`], [`FunctionId`], [`ColumnId`]) stand for the things.

use std::collections::HashMap;

use indexmap::IndexMap;

use super::catalog::{Oid, RelationKind, Volatility};

/// Place in [`Model::entities`].
pub type EntityId = usize;
/// Place in [`Model::enums`].
pub type EnumId = usize;
/// Place in [`Model::functions`].
pub type FunctionId = usize;
/// Place in [`Entity::columns`].
pub type ColumnId = usize;

/// Everything that the API offers.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// Tables, views and composite types, as object types.
    pub entities: Vec<Entity>,
    /// Enum types.
    pub enums: Vec<Enum>,
    /// Functions that are a field somewhere.
    pub functions: Vec<Function>,
    /// Fields of `Query`, by name.
    pub query: IndexMap<String, RootField>,
    /// Fields of `Mutation`, by name.
    pub mutation: IndexMap<String, FunctionId>,
    /// Fields of `Subscription`, by name.
    pub subscription: IndexMap<String, SubscriptionField>,
    /// Object types by their name.
    pub types: HashMap<String, EntityId>,
    /// Every table that anything offered may read, exposed or not.
    pub coverage: HashMap<Oid, Coverage>,
    /// What could not be offered as it is, and why: names that met, labels that GraphQL cannot spell. For the log.
    pub remarks: Vec<String>,
}

/// What can be known of a table's changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coverage {
    /// `schema.table`
    pub name: String,
    /// The relations under which changes of its rows come through the slot: itself, its partitions or what it is a
    /// partition of, and what inherits from it. Or why not all of them come, and what to do.
    pub followed: Result<Vec<Oid>, String>,
    /// Row security is enabled, so that any column may say who sees a row.
    pub secured: bool,
    /// Tables that its row-security policies read; their own guards are not among them. Or why that is not known, and
    /// what to do.
    pub guards: Result<Vec<Oid>, String>,
}

/// A field of `Query`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RootField {
    /// `auctions(filter, orderBy, limit, offset)`
    List(EntityId),
    /// `auction(id:)`: one row by a unique key, an argument for each of these columns, named as the column's field.
    ByKey(EntityId, Vec<ColumnId>),
    /// `auctionsAggregate(filter)`
    Aggregate(EntityId),
    /// A function that reads, its arguments as the field's.
    Function(FunctionId),
}

/// A field of `Subscription`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubscriptionField {
    /// `listen(topic)`: what is sent to a topic.
    Listen,
    /// `newMessage(roomId)`: rows that were written, an argument for each of these columns, named as the column's field.
    Written(EntityId, Events, Vec<ColumnId>),
    /// `bids(filter, events)`: the changes of a table.
    Changes(ChangeType),
}

/// The object type of a table's changes, and of what is known of rows before them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeType {
    /// Whose changes.
    pub entity: EntityId,
    /// Its name: `BidChange`.
    pub name: String,
    /// The name of the type of old rows, `BidOld`; `None` where no column of a row can be told from the log.
    pub old: Option<String>,
}

/// What can happen to a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChangeEvent {
    /// A new row.
    Insert,
    /// A changed row.
    Update,
    /// A row that is gone.
    Delete,
    /// All rows are gone.
    Truncate,
}

impl ChangeEvent {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Insert, Self::Update, Self::Delete, Self::Truncate];

    /// The value of the enum `ChangeEvent`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Insert => "INSERT",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Truncate => "TRUNCATE",
        }
    }
}

/// Some of all events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Events(u8);

impl Events {
    /// Every event.
    pub const ALL: Self = Self(0b1111);

    /// These, and `event`.
    #[must_use]
    pub const fn with(self, event: ChangeEvent) -> Self {
        Self(self.0 | 1 << event as u8)
    }

    /// Whether `event` is one of these.
    #[must_use]
    pub const fn contains(self, event: ChangeEvent) -> bool {
        self.0 & (1 << event as u8) != 0
    }

    /// None of them.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl FromIterator<ChangeEvent> for Events {
    fn from_iter<T: IntoIterator<Item = ChangeEvent>>(events: T) -> Self {
        events.into_iter().fold(Self::default(), Self::with)
    }
}

/// An object type whose values are rows.
#[derive(Clone, Debug)]
pub struct Entity {
    /// The object type's name: `Auction`.
    pub name: String,
    /// Its description: the comment without tags.
    pub description: Option<String>,
    /// `pg_class.oid`
    pub oid: Oid,
    /// The relation's schema.
    pub schema: String,
    /// The relation's name.
    pub relation: String,
    /// What the relation is.
    pub kind: RelationKind,
    /// Row-level security decides which of its rows the role sees.
    pub row_security: bool,
    /// The relation can be selected from and has a list (not for composite types and hidden relations).
    pub selectable: bool,
    /// All columns that the role may read, hidden ones too: keys may need them.
    pub columns: Vec<Column>,
    /// The primary key; empty where there is none.
    pub key: Vec<ColumnId>,
    /// What each field is, by its name, in the schema's order.
    pub fields: IndexMap<String, Field>,
    /// Tables that a view reads, or why that is not known, and what to do.
    pub reads: Result<Vec<Oid>, String>,
}

/// A column of an [`Entity`].
#[derive(Clone, Debug)]
pub struct Column {
    /// `pg_attribute.attnum`
    pub number: i16,
    /// The column's name in SQL.
    pub name: String,
    /// What its values are.
    pub value: ValueType,
    /// It cannot be null.
    pub not_null: bool,
    /// Its description.
    pub description: Option<String>,
}

/// What a field of an object type is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    /// A column.
    Column(ColumnId),
    /// The row that a foreign key refers to, or the one row that refers here by a unique key.
    One(Relationship),
    /// The rows whose foreign key refers here; with filter, orderBy, limit and offset.
    Many(Relationship),
    /// Their aggregate; with filter.
    Aggregate(Relationship),
    /// A function of the row; its further arguments are the field's.
    Function(FunctionId),
}

/// A foreign key, from the side of the row at hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relationship {
    /// The other object type.
    pub target: EntityId,
    /// Pairs of equal columns: of this entity, of the target.
    pub on: Vec<(ColumnId, ColumnId)>,
    /// The other row is always there (columns that refer are NOT NULL), as far as row-level security shows it.
    pub required: bool,
    /// The constraint's name, for descriptions.
    pub constraint: String,
}

/// What values a column, an argument or a result has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueType {
    /// What SQL calls the type, quoted and qualified, domains included: fit to stand behind `::`.
    pub sql: String,
    /// The type without domains.
    pub base: Oid,
    /// What it is.
    pub shape: Shape,
    /// `<`, `min` and `orderBy` make sense.
    pub ordered: bool,
    /// `=` exists.
    pub comparable: bool,
}

impl ValueType {
    /// What the sum of such values is; `None` where there is none.
    #[must_use]
    pub fn sum(&self) -> Option<Scalar> {
        match self.shape {
            Shape::Scalar(Scalar::Int) => Some(Scalar::BigInt),
            Shape::Scalar(Scalar::BigInt | Scalar::BigDecimal) => Some(Scalar::BigDecimal),
            Shape::Scalar(Scalar::Float) => Some(Scalar::Float),
            _ => None,
        }
    }

    /// What the average of such values is; `None` where there is none.
    #[must_use]
    pub fn average(&self) -> Option<Scalar> {
        match self.shape {
            Shape::Scalar(Scalar::Int | Scalar::BigInt | Scalar::BigDecimal) => Some(Scalar::BigDecimal),
            Shape::Scalar(Scalar::Float) => Some(Scalar::Float),
            _ => None,
        }
    }

    /// `min` and `max` exist. PostgreSQL has none for some types that have an order, such as `boolean`.
    #[must_use]
    pub fn has_extremes(&self) -> bool {
        match &self.shape {
            Shape::Scalar(Scalar::Text(name)) => {
                ["Date", "LocalTime", "Time", "Interval"].contains(&name.as_str())
            }
            Shape::Scalar(Scalar::Id | Scalar::Boolean | Scalar::Json)
            | Shape::List(_)
            | Shape::Composite(_) => false,
            Shape::Scalar(_) | Shape::Enum(_) => true,
        }
    }
}

/// The shape of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One leaf.
    Scalar(Scalar),
    /// One of an enum's labels.
    Enum(EnumId),
    /// A list of these.
    List(Box<ValueType>),
    /// A row.
    Composite(EntityId),
}

/// A leaf type, and with it how its values are written as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Scalar {
    /// `ID`: a key of any type, as a JSON string.
    Id,
    /// `Int`: int2, int4; a JSON number.
    Int,
    /// `Float`: float4, float8; a JSON number. NaN and infinities are field errors, as the specification asks.
    Float,
    /// `Boolean`
    Boolean,
    /// `String`: text, varchar, char, name, citext.
    String,
    /// `BigInt`: int8, as a JSON string.
    BigInt,
    /// `BigDecimal`: numeric, as a JSON string.
    BigDecimal,
    /// `DateTime` (timestamptz) and `LocalDateTime` (timestamp): ISO 8601.
    Timestamp {
        /// It has a time zone.
        zoned: bool,
    },
    /// `JSON`: json and jsonb, as they are.
    Json,
    /// Every other type: its text, under this name (`UUID`, `Date`, `Inet` ...).
    Text(String),
}

/// An enum type.
#[derive(Clone, Debug)]
pub struct Enum {
    /// The GraphQL name.
    pub name: String,
    /// Its description.
    pub description: Option<String>,
    /// Pairs of the GraphQL value and the label in Postgres, in order.
    pub values: Vec<(String, String)>,
}

/// A function that is a field.
#[derive(Clone, Debug)]
pub struct Function {
    /// The field's name.
    pub field: String,
    /// `pg_proc.oid`
    pub oid: Oid,
    /// Its schema.
    pub schema: String,
    /// Its name in SQL.
    pub name: String,
    /// Its description.
    pub description: Option<String>,
    /// What it may do.
    pub volatility: Volatility,
    /// The row type it is a field of; that row is its first argument, which `arguments` leaves out.
    pub of: Option<EntityId>,
    /// Arguments of the field, or for a mutation fields of `input`.
    pub arguments: Vec<Argument>,
    /// What it returns; `None` is void, which is told as `Boolean` true.
    pub returns: Option<ValueType>,
    /// `RETURNS SETOF`: a list. Of rows of a selectable relation: with filter, orderBy, limit and offset.
    pub returns_set: bool,
    /// What it reads.
    pub reads: Reads,
}

/// An argument of a [`Function`].
#[derive(Clone, Debug)]
pub struct Argument {
    /// The GraphQL name.
    pub field: String,
    /// The name in SQL; without one it is given by place.
    pub name: Option<String>,
    /// Its place among all arguments of the function, from 0.
    pub place: usize,
    /// What it takes.
    pub value: ValueType,
    /// It must be given: it has no default in SQL.
    pub required: bool,
}

/// What a function's result depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reads {
    /// Its arguments alone.
    Nothing,
    /// Of these tables, rows that are bound to the argument row or any rows.
    Tables(Vec<Dependency>),
    /// That is not known: why, and what to do.
    Unknown(String),
}

/// One `depends_on`, or a table found in a function's body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependency {
    /// The table.
    pub table: Oid,
    /// Pairs that bind it to the row at hand: the table's column by its name, and the row's column. Empty: any row.
    pub on: Vec<(String, ColumnId)>,
}

/// How the text of a scalar's value becomes JSON. SQL statements and the log's rows are written by the same rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Its digits.
    Number,
    /// Its digits, as long as they are those of a finite number.
    Float,
    /// `true` or `false`.
    Boolean,
    /// A string of its text.
    String,
    /// A string in ISO 8601.
    Timestamp {
        /// It has a time zone.
        zoned: bool,
    },
    /// Itself.
    Json,
}

impl Scalar {
    /// How its values are written.
    #[must_use]
    pub const fn form(&self) -> Form {
        match self {
            Self::Int => Form::Number,
            Self::Float => Form::Float,
            Self::Boolean => Form::Boolean,
            Self::Id | Self::String | Self::BigInt | Self::BigDecimal | Self::Text(_) => Form::String,
            Self::Timestamp { zoned } => Form::Timestamp { zoned: *zoned },
            Self::Json => Form::Json,
        }
    }

    /// Its name in the schema.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Id => "ID",
            Self::Int => "Int",
            Self::Float => "Float",
            Self::Boolean => "Boolean",
            Self::String => "String",
            Self::BigInt => "BigInt",
            Self::BigDecimal => "BigDecimal",
            Self::Timestamp { zoned: true } => "DateTime",
            Self::Timestamp { zoned: false } => "LocalDateTime",
            Self::Json => "JSON",
            Self::Text(name) => name,
        }
    }
}
