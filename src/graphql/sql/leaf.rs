//! One value as JSON text.

use std::fmt::Write as _;

use postgres_protocol::escape::escape_literal;

use super::{ABSENT, NESTED, NOT_FINITE, marker};
use crate::graphql::model::{Form, Model, Shape, ValueType};

/// Types whose text needs no escapes between quotes.
const PLAIN: [(u32, &str); 6] =
    [(21, "int2"), (23, "int4"), (20, "int8"), (1700, "numeric"), (2950, "uuid"), (26, "oid")];

/// `jsonb`
const JSONB: u32 = 3802;

/// An SQL expression of type text for the value `x`.
///
/// What goes out without quotes of `to_json` is cast to the type that it has: that costs nothing, and where the type was
/// changed a moment ago it is an error rather than something that is no JSON.
pub(super) fn json(model: &Model, value: &ValueType, x: &str, nullable: bool) -> String {
    let absent = if nullable { "'null'".to_owned() } else { marker(ABSENT) };
    let json = match &value.shape {
        Shape::Scalar(scalar) => match scalar.form() {
            Form::Float => {
                // x - x is NaN for NaN and the infinities, 0 for all others.
                return format!(
                    "case when {x} - {x} = 0 then {x}::text when {x} is null then {absent} else {} end",
                    marker(NOT_FINITE)
                );
            }
            Form::Number => format!("{x}::int4::text"),
            Form::Boolean => format!("{x}::bool::text"),
            Form::Json if value.base == JSONB => format!("{x}::jsonb::text"),
            Form::Json => format!("{x}::json::text"),
            Form::String => match PLAIN.iter().find(|(oid, _)| *oid == value.base) {
                Some((_, plain)) => format!("'\"' || {x}::{plain}::text || '\"'"),
                None => format!("to_json({x}::text)::text"),
            },
            Form::Timestamp { .. } => format!("to_json({x})::text"),
        },
        Shape::Enum(id) => {
            let values = model.enums.get(*id).map(|kind| kind.values.as_slice()).unwrap_or_default();
            if values.iter().all(|(name, label)| name == label) {
                format!("to_json({x}::text)::text")
            } else {
                let mut cases = String::new();
                for (name, label) in values {
                    let _ = write!(cases, " when {} then '\"{name}\"'", escape_literal(label).trim());
                }
                // A label that is new.
                format!("case {x}::text{cases} else to_json({x}::text)::text end")
            }
        }
        Shape::List(item) => list(model, item, x),
        // Rows are selected from, never written whole.
        Shape::Composite(_) => "'null'".to_owned(),
    };
    format!("coalesce({json}, {absent})")
}

fn list(model: &Model, item: &ValueType, x: &str) -> String {
    let each = json(model, item, "e.v", true);
    // An empty array has no dimension at all.
    format!(
        "case when array_ndims({x}) > 1 then {} else \
         (select '[' || coalesce(string_agg({each}, ',' order by e.n), '') || ']' \
         from unnest({x}) with ordinality e(v, n) where {x} is not null having {x} is not null) end",
        marker(NESTED)
    )
}
