//! What a column's type means for the JSON of its values.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use tokio_postgres::types::{Kind, Type};

use super::value::{Profile, write_string};

/// One Postgres type, reduced to what the writer of its values and the wire's `columns` list need.
///
/// Descriptions are built once per type and shared by every column of that type.
#[derive(Debug, PartialEq, Eq)]
pub struct TypeInfo {
    /// The `udt_name` of `information_schema.columns`: `int8`, `_int4`, `mood`. A column of a domain
    /// is described by the domain's base type, and so carries the base type's name.
    pub name: Box<str>,
    /// How the text of a value becomes JSON.
    pub shape: Shape,
}

/// How the text of a value becomes JSON.
#[derive(Debug, PartialEq, Eq)]
pub enum Shape {
    /// A JSON string of the text: every type without a rule of its own.
    Text,
    /// `t` and `f` become `true` and `false`.
    Bool,
    /// `int2` and `int4`: always exact in a JavaScript number.
    SmallInteger,
    /// `int8`: beyond 2^53 a JavaScript number loses digits, so the exact profile quotes it.
    BigInteger,
    /// `float4` and `float8`.
    Float,
    /// `numeric`, of any precision; the exact profile quotes it.
    Numeric,
    /// `json` and `jsonb`, embedded as they are.
    Json,
    /// `timestamp without time zone`.
    Timestamp,
    /// `timestamp with time zone`.
    TimestampTz,
    /// The extension `hstore`: an object of strings and nulls.
    Hstore,
    /// Any number of dimensions: Postgres does not tell them apart by type.
    Array {
        /// What the innermost elements are.
        element: Arc<TypeInfo>,
        /// `pg_type.typdelim` of the element's type: a comma, but a semicolon for `box`.
        delimiter: u8,
    },
    /// A row type: an object by attribute name.
    Composite {
        /// In the order of `pg_attribute.attnum`, without dropped ones.
        attributes: Vec<Attribute>,
    },
}

/// One attribute of a composite type.
#[derive(Debug, PartialEq, Eq)]
pub struct Attribute {
    name: Box<str>,
    json_key: Box<[u8]>,
    info: Arc<TypeInfo>,
}

impl Attribute {
    /// An attribute called `name`, of the type that `info` describes.
    #[must_use]
    pub fn new(name: &str, info: Arc<TypeInfo>) -> Self {
        let mut json_key = Vec::with_capacity(name.len() + 3);
        write_string(&mut json_key, name.as_bytes());
        json_key.push(b':');
        Self { name: name.into(), json_key: json_key.into(), info }
    }

    /// The name as the catalog has it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name as an object's key, escaped and with its colon: `"name":`.
    #[must_use]
    pub fn json_key(&self) -> &[u8] {
        &self.json_key
    }

    /// The attribute's type.
    #[must_use]
    pub fn info(&self) -> &Arc<TypeInfo> {
        &self.info
    }
}

impl TypeInfo {
    fn shared(name: &str, shape: Shape) -> Arc<Self> {
        Arc::new(Self { name: name.into(), shape })
    }

    /// A type whose values travel as their text: ranges, `citext`, whatever the catalog does not know.
    #[must_use]
    pub fn text(name: &str) -> Arc<Self> {
        Self::shared(name, Shape::Text)
    }

    /// An enum: its labels travel as strings.
    #[must_use]
    pub fn enumeration(name: &str) -> Arc<Self> {
        Self::text(name)
    }

    /// A row type with its attributes in catalog order, dropped ones left out.
    #[must_use]
    pub fn composite(name: &str, attributes: Vec<Attribute>) -> Arc<Self> {
        Self::shared(name, Shape::Composite { attributes })
    }

    /// The array type `name` (`_mood`) over `element`, whose `pg_type.typdelim` is `delimiter`.
    #[must_use]
    pub fn array(name: &str, element: Arc<Self>, delimiter: u8) -> Arc<Self> {
        Self::shared(name, Shape::Array { element, delimiter })
    }

    /// A domain is printed exactly as its base type, so it shares that description.
    #[must_use]
    pub fn domain_over(base: &Arc<Self>) -> Arc<Self> {
        Arc::clone(base)
    }

    /// The type that the extension `hstore` makes.
    #[must_use]
    pub fn hstore() -> Arc<Self> {
        Self::shared("hstore", Shape::Hstore)
    }

    /// Whether values hold rows, whose attributes `ALTER TYPE` may add, drop and rename.
    #[must_use]
    pub fn holds_rows(&self) -> bool {
        match &self.shape {
            Shape::Composite { .. } => true,
            Shape::Array { element, .. } => element.holds_rows(),
            _ => false,
        }
    }

    /// The name for `columns[].type`.
    ///
    /// supabase-js turns a string of type `int8` or `numeric` into a number again. `bigint` and
    /// `decimal` are names it does not convert, so under [`Profile::Exact`] the digits survive.
    #[must_use]
    pub fn wire_name(&self, profile: Profile) -> &str {
        if profile != Profile::Exact {
            return &self.name;
        }
        match &self.shape {
            Shape::BigInteger => "bigint",
            Shape::Numeric => "decimal",
            Shape::Array { element, .. } => match element.shape {
                Shape::BigInteger => "_bigint",
                Shape::Numeric => "_decimal",
                _ => &self.name,
            },
            _ => &self.name,
        }
    }
}

/// The description of a type that every Postgres has, or nothing for an OID that the catalog must be
/// asked about.
#[must_use]
pub fn builtin(oid: u32) -> Option<Arc<TypeInfo>> {
    static KNOWN: LazyLock<HashMap<u32, Arc<TypeInfo>>> = LazyLock::new(|| {
        // OIDs assigned by hand end at 9999 (Postgres manual, "OID Assignment" of the bootstrap data).
        (1..10_000).filter_map(Type::from_oid).map(|ty| (ty.oid(), describe(&ty))).collect()
    });
    KNOWN.get(&oid).cloned()
}

fn describe(ty: &Type) -> Arc<TypeInfo> {
    let shape = match *ty {
        Type::BOOL => Shape::Bool,
        Type::INT2 | Type::INT4 => Shape::SmallInteger,
        Type::INT8 => Shape::BigInteger,
        Type::FLOAT4 | Type::FLOAT8 => Shape::Float,
        Type::NUMERIC => Shape::Numeric,
        Type::JSON | Type::JSONB => Shape::Json,
        Type::TIMESTAMP => Shape::Timestamp,
        Type::TIMESTAMPTZ => Shape::TimestampTz,
        // Arrays to the catalog, but printed as numbers between spaces, without braces.
        Type::INT2_VECTOR | Type::OID_VECTOR => Shape::Text,
        _ => match ty.kind() {
            Kind::Array(element) => {
                // The only built-in type with a delimiter of its own (pg_type.typdelim).
                let delimiter = if *element == Type::BOX { b';' } else { b',' };
                Shape::Array { element: describe(element), delimiter }
            }
            _ => Shape::Text,
        },
    };
    TypeInfo::shared(ty.name(), shape)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builtin_types_have_their_udt_name_and_shape() {
        let cases = [
            (Type::BOOL, "bool", Shape::Bool),
            (Type::INT2, "int2", Shape::SmallInteger),
            (Type::INT4, "int4", Shape::SmallInteger),
            (Type::INT8, "int8", Shape::BigInteger),
            (Type::FLOAT4, "float4", Shape::Float),
            (Type::NUMERIC, "numeric", Shape::Numeric),
            (Type::JSONB, "jsonb", Shape::Json),
            (Type::TIMESTAMP, "timestamp", Shape::Timestamp),
            (Type::TIMESTAMPTZ, "timestamptz", Shape::TimestampTz),
            (Type::INT2_VECTOR, "int2vector", Shape::Text),
            (Type::OID_VECTOR, "oidvector", Shape::Text),
            (Type::RECORD, "record", Shape::Text),
            (Type::CHAR, "char", Shape::Text),
            (Type::OID, "oid", Shape::Text),
            (Type::MONEY, "money", Shape::Text),
            (Type::BYTEA, "bytea", Shape::Text),
            (Type::INTERVAL, "interval", Shape::Text),
            (Type::INT8_RANGE, "int8range", Shape::Text),
            (Type::INT4MULTI_RANGE, "int4multirange", Shape::Text),
        ];
        for (ty, name, shape) in cases {
            let info = builtin(ty.oid()).unwrap();
            assert_eq!((&*info.name, &info.shape), (name, &shape));
        }
    }

    #[test]
    fn builtin_arrays_know_their_element_and_delimiter() {
        for (array, element, expected) in
            [(Type::INT4_ARRAY, Type::INT4, b','), (Type::BOX_ARRAY, Type::BOX, b';')]
        {
            let info = builtin(array.oid()).unwrap();
            assert_eq!(
                info,
                TypeInfo::array(&format!("_{}", element.name()), builtin(element.oid()).unwrap(), expected)
            );
        }
        assert_eq!(builtin(Type::INT2_VECTOR_ARRAY.oid()).unwrap().name.as_ref(), "_int2vector");
    }

    #[test]
    fn types_of_users_are_not_builtin() {
        assert_eq!(builtin(0), None);
        assert_eq!(builtin(16_384), None);
        assert_eq!(builtin(u32::MAX), None);
    }

    #[test]
    fn exact_renames_only_what_it_quotes() {
        for (ty, default, exact) in [
            (Type::INT8, "int8", "bigint"),
            (Type::NUMERIC, "numeric", "decimal"),
            (Type::INT8_ARRAY, "_int8", "_bigint"),
            (Type::NUMERIC_ARRAY, "_numeric", "_decimal"),
            (Type::INT4, "int4", "int4"),
            (Type::FLOAT8, "float8", "float8"),
            (Type::INT4_ARRAY, "_int4", "_int4"),
            (Type::INT8_RANGE, "int8range", "int8range"),
        ] {
            let info = builtin(ty.oid()).unwrap();
            assert_eq!(info.wire_name(Profile::Default), default);
            assert_eq!(info.wire_name(Profile::Text), default);
            assert_eq!(info.wire_name(Profile::Exact), exact);
        }
        let domain = TypeInfo::domain_over(&builtin(Type::INT8.oid()).unwrap());
        assert_eq!(domain.wire_name(Profile::Exact), "bigint");
    }

    #[test]
    fn rows_are_found_inside_of_arrays() {
        let row = TypeInfo::composite("pair", Vec::new());
        assert!(row.holds_rows());
        assert!(TypeInfo::array("_pair", row, b',').holds_rows());
        assert!(!builtin(Type::INT4_ARRAY.oid()).unwrap().holds_rows());
    }

    #[test]
    fn an_attribute_keeps_its_name_and_the_escaped_key() {
        let attribute = Attribute::new("say \"hi\"", TypeInfo::text("citext"));
        assert_eq!(attribute.name(), "say \"hi\"");
        assert_eq!(attribute.json_key(), br#""say \"hi\"":"#);
        assert_eq!(attribute.info().name.as_ref(), "citext");
    }
}
