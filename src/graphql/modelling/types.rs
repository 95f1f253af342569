//! From the types of Postgres to those of GraphQL.

use std::collections::HashMap;

use super::Draft;
use super::names::of_type;
use crate::graphql::catalog::{Catalog, Oid, Type, TypeKind};
use crate::graphql::model::{EntityId, Enum, EnumId, Scalar, Shape, ValueType};
use crate::graphql::naming::{self, Taken};
use crate::graphql::tags::Names;

/// Domains over domains and arrays of arrays deeper than this count as unknown; so does what contains itself.
const DEPTH: usize = 16;

/// Types that mean the same under any table's name, so that no table may have it.
const RESERVED: [&str; 15] = [
    "ID",
    "Int",
    "Float",
    "Boolean",
    "String",
    "BigInt",
    "BigDecimal",
    "DateTime",
    "LocalDateTime",
    "JSON",
    "UUID",
    "Date",
    "LocalTime",
    "Time",
    "Interval",
];

/// Types of every schema that no row has, and the one name that the TypeScript text needs for itself.
const GENERAL: [&str; 8] =
    ["Query", "Mutation", "Subscription", "ChangeEvent", "Sent", "Is", "OrderDirection", "Arguments"];

/// The catalog's types.
pub(super) struct Types<'a> {
    by_oid: HashMap<Oid, &'a Type>,
    /// Entities by the relation whose rows they are.
    pub(super) rows: HashMap<Oid, EntityId>,
    /// In the order of their ids.
    enums: Vec<&'a Type>,
    enum_ids: HashMap<Oid, EnumId>,
    /// Scalars of types that are served as their text.
    texts: HashMap<Oid, String>,
}

impl<'a> Types<'a> {
    pub(super) fn new(catalog: &'a Catalog, names: &Names) -> Self {
        let mut enums: Vec<_> = catalog
            .types
            .iter()
            // An enum without labels is allowed in SQL, not in GraphQL.
            .filter(|kind| matches!(&kind.kind, TypeKind::Enum(labels) if !labels.is_empty()))
            .filter(|kind| !names.tags(&of_type(kind), kind.comment.as_deref()).omit)
            .collect();
        enums.sort_by_key(|kind| (&kind.schema, &kind.name));
        Self {
            by_oid: catalog.types.iter().map(|kind| (kind.oid, kind)).collect(),
            rows: HashMap::new(),
            enum_ids: enums.iter().enumerate().map(|(id, kind)| (kind.oid, id)).collect(),
            enums,
            texts: HashMap::new(),
        }
    }

    /// What SQL calls it.
    pub(super) fn sql(&self, oid: Oid) -> Option<&'a str> {
        self.by_oid.get(&oid).map(|kind| kind.sql.as_str())
    }

    /// The type below all domains.
    pub(super) fn base(&self, oid: Oid) -> Option<&'a Type> {
        let mut kind = *self.by_oid.get(&oid)?;
        for _ in 0..DEPTH {
            let TypeKind::Domain { base, .. } = &kind.kind else { return Some(kind) };
            kind = self.by_oid.get(base)?;
        }
        None
    }

    /// What values of this type are; `None` where they are not offered.
    pub(super) fn value(&self, oid: Oid) -> Option<ValueType> {
        self.value_within(oid, DEPTH)
    }

    fn value_within(&self, oid: Oid, depth: usize) -> Option<ValueType> {
        let base = self.base(oid)?;
        let shape = match &base.kind {
            TypeKind::Base => Shape::Scalar(self.scalar(base)),
            TypeKind::Enum(labels) if labels.is_empty() => Shape::Scalar(self.scalar(base)),
            TypeKind::Enum(_) => Shape::Enum(*self.enum_ids.get(&base.oid)?),
            TypeKind::Array(element) => {
                Shape::List(Box::new(self.value_within(*element, depth.checked_sub(1)?)?))
            }
            TypeKind::Composite(relation) => Shape::Composite(*self.rows.get(relation)?),
            TypeKind::Domain { .. } => return None,
        };
        // jsonb has an order, which nobody means; a list has what its elements have.
        let compares = |flag: bool, of: fn(&ValueType) -> bool| match &shape {
            Shape::Scalar(Scalar::Json) | Shape::Composite(_) => false,
            Shape::List(element) => flag && of(element),
            Shape::Scalar(_) | Shape::Enum(_) => flag,
        };
        Some(ValueType {
            sql: self.sql(oid)?.to_owned(),
            base: base.oid,
            ordered: compares(base.ordered, |element| element.ordered),
            comparable: compares(base.comparable, |element| element.comparable),
            shape,
        })
    }

    /// The same as `ID`: its values identify rows. Lists stay lists.
    pub(super) fn id(&self, oid: Oid) -> Option<ValueType> {
        let base = self.base(oid)?;
        if matches!(base.kind, TypeKind::Array(_)) {
            return self.value(oid);
        }
        Some(ValueType {
            sql: self.sql(oid)?.to_owned(),
            base: base.oid,
            shape: Shape::Scalar(Scalar::Id),
            ordered: base.ordered,
            comparable: base.comparable,
        })
    }

    /// A name and type that say "this identifies something": `id` and `.._id`.
    pub(super) fn is_id(&self, name: &str, oid: Oid) -> bool {
        let words = naming::snake(name);
        (words == "id" || words.ends_with("_id"))
            && self.base(oid).is_some_and(|base| {
                base.schema == "pg_catalog"
                    && ["int2", "int4", "int8", "uuid", "text", "varchar"].contains(&base.name.as_str())
            })
    }

    /// A column that is not offered still has a value, since keys may need it.
    pub(super) fn hidden(&self, oid: Oid) -> ValueType {
        ValueType {
            sql: self.sql(oid).unwrap_or("text").to_owned(),
            base: oid,
            shape: Shape::Scalar(Scalar::Text("Unnamed".to_owned())),
            ordered: false,
            comparable: false,
        }
    }

    fn scalar(&self, kind: &Type) -> Scalar {
        known(kind).unwrap_or_else(|| {
            Scalar::Text(self.texts.get(&kind.oid).cloned().unwrap_or_else(|| text_name(kind)))
        })
    }
}

/// Types that are more than their text.
fn known(kind: &Type) -> Option<Scalar> {
    let scalar = match (kind.schema.as_str(), kind.name.as_str()) {
        ("pg_catalog", "int2" | "int4") => Scalar::Int,
        ("pg_catalog", "int8") => Scalar::BigInt,
        ("pg_catalog", "numeric") => Scalar::BigDecimal,
        ("pg_catalog", "float4" | "float8") => Scalar::Float,
        ("pg_catalog", "bool") => Scalar::Boolean,
        ("pg_catalog", "text" | "varchar" | "bpchar" | "char" | "name") | (_, "citext") => Scalar::String,
        ("pg_catalog", "timestamptz") => Scalar::Timestamp { zoned: true },
        ("pg_catalog", "timestamp") => Scalar::Timestamp { zoned: false },
        ("pg_catalog", "json" | "jsonb") => Scalar::Json,
        _ => return None,
    };
    Some(scalar)
}

fn text_name(kind: &Type) -> String {
    match (kind.schema.as_str(), kind.name.as_str()) {
        ("pg_catalog", "uuid") => "UUID".to_owned(),
        ("pg_catalog", "xml") => "XML".to_owned(),
        // As `DateTime` and `LocalDateTime`: the bare word has a zone.
        ("pg_catalog", "time") => "LocalTime".to_owned(),
        ("pg_catalog", "timetz") => "Time".to_owned(),
        (_, name) => naming::type_name(name),
    }
}

/// A leaf's name and those of its filters.
fn with_filters(name: &str) -> Vec<String> {
    vec![name.to_owned(), format!("{name}Filter"), format!("{name}ListFilter")]
}

/// Takes the names that every schema has.
pub(super) fn reserve(taken: &mut Taken) {
    for name in RESERVED.iter().flat_map(|name| with_filters(name)) {
        taken.take(&name);
    }
    for name in GENERAL {
        taken.take(name);
    }
}

/// Names enums and texts, after the entities.
pub(super) fn add(draft: &mut Draft<'_>) {
    for kind in draft.types.enums.clone() {
        let TypeKind::Enum(labels) = &kind.kind else { continue };
        let tags = draft.names.tags(&of_type(kind), kind.comment.as_deref());
        let wanted =
            [tags.name.map_or_else(|| naming::type_name(&kind.name), |name| naming::capitalised(&name))];
        let name = draft.type_names.claim_with(&wanted, with_filters);
        draft.remark_name(&format!("{}.{}", kind.schema, kind.name), "", &wanted, &name);
        let values = values(labels);
        for (value, label) in values.iter().filter(|(value, label)| value != label) {
            draft.remark(format!("the label {label:?} of {}.{} is {name}.{value}", kind.schema, kind.name));
        }
        draft.model.enums.push(Enum { name, description: tags.description, values });
    }
    let mut texts: Vec<_> = draft
        .catalog
        .types
        .iter()
        .filter(|kind| match &kind.kind {
            TypeKind::Base => known(kind).is_none(),
            TypeKind::Enum(labels) => labels.is_empty(),
            _ => false,
        })
        .collect();
    texts.sort_by_key(|kind| (kind.schema != "pg_catalog", &kind.schema, &kind.name));
    for kind in texts {
        let wanted = [text_name(kind)];
        let own = kind.schema == "pg_catalog" && wanted.iter().any(|name| RESERVED.contains(&name.as_str()));
        let name = if own { text_name(kind) } else { draft.type_names.claim_with(&wanted, with_filters) };
        draft.remark_name(&format!("{}.{}", kind.schema, kind.name), "", &wanted, &name);
        draft.types.texts.insert(kind.oid, name);
    }
}

/// Labels that are names stay as they are; the others give way to them.
fn values(labels: &[String]) -> Vec<(String, String)> {
    let mut taken = Taken::default();
    for label in labels.iter().filter(|label| naming::label(label) == **label) {
        taken.take(label);
    }
    labels
        .iter()
        .map(|label| {
            let value = naming::label(label);
            let value = if value == *label { value } else { taken.claim(&[value]) };
            (value, label.clone())
        })
        .collect()
}
