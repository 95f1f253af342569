//! What the database's catalog says, as far as a schema is made of it.
//!
//! `postgres/introspection` reads it as one JSON text, from one snapshot. It holds only what the role may
//! read or call, so that a schema never offers what is refused afterwards.

use serde::Deserialize;

/// An object identifier of Postgres.
pub type Oid = u32;

/// One reading of the catalog.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Catalog {
    /// Relations of the exposed schemas, and the composite types that their columns and functions use.
    pub relations: Vec<Relation>,
    /// Foreign keys between these relations.
    pub foreign_keys: Vec<ForeignKey>,
    /// Every type that a column, an argument or a result has, and what those are made of.
    pub types: Vec<Type>,
    /// Functions of the exposed schemas that the role may call; no trigger functions, no procedures, none that
    /// belong to an extension, none with polymorphic, OUT, TABLE or VARIADIC arguments.
    pub functions: Vec<Function>,
    /// Every table that any of these may read, exposed or not, and what inherits from it.
    pub sources: Vec<Source>,
    /// Functions that are called by what may be read, and whose body is a text to Postgres.
    pub called: Vec<Called>,
    /// The publication that the slot is read through; `None` while there is none.
    pub publication: Option<Publication>,
}

/// What a view, a function's body or a policy stands on.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Reading {
    /// Tables, by way of views and of functions with a `BEGIN ATOMIC` body.
    pub tables: Vec<Oid>,
    /// Functions in [`Catalog::called`], into which Postgres does not look.
    pub calls: Vec<Oid>,
    /// It depends on more than tables: the clock, chance, the session, Postgres' own catalog.
    pub more: bool,
}

/// A function whose body is a text, so that only its comment can say what it reads.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Called {
    /// `pg_proc.oid`
    pub oid: Oid,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// What SQL calls it, quoted and qualified, with the types of its arguments.
    pub sql: String,
    /// `COMMENT ON`, whole.
    pub comment: Option<String>,
}

/// A table as the slot and row-level security see it.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Source {
    /// `pg_class.oid`
    pub oid: Oid,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// What SQL calls it, quoted and qualified.
    pub sql: String,
    /// What it is.
    pub kind: SourceKind,
    /// Unlogged tables never reach a slot.
    pub logged: bool,
    /// It is a part of a partitioned table.
    pub partition: bool,
    /// Its columns' names.
    pub columns: Vec<String>,
    /// What inherits from it, partitions too, at any depth: reading it reads these.
    pub heirs: Vec<Oid>,
    /// As which relation its own rows are published: itself, or what it is a partition of.
    pub published: Option<Oid>,
    /// Rows are left out of the publication by a filter.
    pub filtered: bool,
    /// Row security is enabled.
    pub secured: bool,
    /// A column whose collation takes different texts for equal.
    pub loose: Option<String>,
    /// What its row-security policies stand on, as far as they bind those who read.
    pub policies: Reading,
}

/// What a [`Source`] is (`pg_class.relkind`).
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    /// A table with rows of its own.
    Table,
    /// A partitioned table; rows are in its partitions.
    Partitioned,
    /// A materialized view.
    MaterializedView,
    /// A foreign table.
    ForeignTable,
    /// A sequence.
    Sequence,
}

/// A publication.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Publication {
    /// What SQL calls it, quoted.
    pub sql: String,
    /// The operations that it leaves out.
    pub lacks: Vec<String>,
}

/// What a relation is (`pg_class.relkind`).
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum RelationKind {
    /// A table, also a partitioned one; partitions are not listed.
    Table,
    /// A view.
    View,
    /// A materialized view.
    MaterializedView,
    /// A foreign table.
    ForeignTable,
    /// A stand-alone composite type.
    CompositeType,
}

/// A table, a view, or a composite type.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Relation {
    /// `pg_class.oid`
    pub oid: Oid,
    /// `pg_class.reltype`: the type of its rows.
    pub row_type: Oid,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: RelationKind,
    /// Row-level security decides which rows the role sees (`row_security_active`).
    pub row_security: bool,
    /// `COMMENT ON`, whole, tags included.
    pub comment: Option<String>,
    /// The columns that the role may read, in order.
    pub columns: Vec<Column>,
    /// The primary key's column numbers, in its order; empty where there is none.
    pub primary_key: Vec<i16>,
    /// Other unique keys that always hold: unique constraints and indexes without predicate or expression.
    pub unique_keys: Vec<Vec<i16>>,
    /// What a view stands on; nothing for what is not a view.
    pub reads: Reading,
}

/// A column.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// `pg_attribute.attnum`
    pub number: i16,
    /// Its name.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: Oid,
    /// It cannot be null (`NOT NULL`, or a domain that says so); never for views.
    pub not_null: bool,
    /// `COMMENT ON`, whole.
    pub comment: Option<String>,
}

/// A foreign key.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct ForeignKey {
    /// The constraint's name.
    pub name: String,
    /// The table that refers.
    pub relation: Oid,
    /// Its columns.
    pub columns: Vec<i16>,
    /// The table that is referred to.
    pub target: Oid,
    /// Its columns, in the order of `columns`.
    pub target_columns: Vec<i16>,
    /// `COMMENT ON CONSTRAINT`, whole.
    pub comment: Option<String>,
}

/// A type.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Type {
    /// `pg_type.oid`
    pub oid: Oid,
    /// Its schema.
    pub schema: String,
    /// `pg_type.typname`; `_int4` for an array.
    pub name: String,
    /// What SQL calls it, quoted and qualified, fit to stand behind `::`.
    pub sql: String,
    /// What it is made of.
    pub kind: TypeKind,
    /// Values have an order (a default btree operator class), so that `<` and `min` exist.
    pub ordered: bool,
    /// `=` exists.
    pub comparable: bool,
    /// `COMMENT ON`, whole.
    pub comment: Option<String>,
}

/// What a type is made of.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum TypeKind {
    /// A type of its own, ranges included.
    Base,
    /// An enum's labels, in order.
    Enum(Vec<String>),
    /// A domain.
    Domain {
        /// What it is over; may be a domain too.
        base: Oid,
        /// `NOT NULL` at this domain.
        not_null: bool,
    },
    /// An array's element type.
    Array(Oid),
    /// The relation (`pg_class.oid`) whose rows have this type.
    Composite(Oid),
}

/// `pg_proc.provolatile`
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Volatility {
    /// Depends on its arguments alone.
    Immutable,
    /// Reads the database.
    Stable,
    /// May write.
    Volatile,
}

/// A function.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Function {
    /// `pg_proc.oid`
    pub oid: Oid,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// What it may do.
    pub volatility: Volatility,
    /// `RETURNS NULL ON NULL INPUT`
    pub strict: bool,
    /// Its arguments, in order.
    pub arguments: Vec<Argument>,
    /// What it returns; `void` is `None`.
    pub returns: Option<Oid>,
    /// `RETURNS SETOF`
    pub returns_set: bool,
    /// `COMMENT ON`, whole.
    pub comment: Option<String>,
    /// What it stands on; itself, where its body is a text to Postgres and it is not IMMUTABLE.
    pub reads: Reading,
}

/// An argument of a function.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Argument {
    /// Its name; those without can only be given by place.
    pub name: Option<String>,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: Oid,
    /// It may be left out.
    pub has_default: bool,
}
