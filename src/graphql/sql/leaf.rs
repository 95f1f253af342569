//! One value as JSON text.

use std::fmt::Write as _;

use postgres_protocol::escape::escape_literal;

use super::{NESTED, NOT_FINITE, marker};
use crate::graphql::model::{Model, Scalar, Shape, ValueType};

/// Types whose text needs no escapes between quotes: int2, int4, int8, numeric, uuid, oid.
const PLAIN: [u32; 6] = [21, 23, 20, 1700, 2950, 26];

/// An SQL expression of type text for the value `x`.
pub(super) fn json(model: &Model, value: &ValueType, x: &str, nullable: bool) -> String {
    let json = match &value.shape {
        Shape::Scalar(scalar) => match scalar {
            Scalar::Float => {
                // x - x is NaN for NaN and the infinities, 0 for all others.
                let null = if nullable { format!("when {x} is null then 'null' ") } else { String::new() };
                return format!(
                    "case when {x} - {x} = 0 then {x}::text {null}else {} end",
                    marker(NOT_FINITE)
                );
            }
            Scalar::Int | Scalar::Boolean | Scalar::Json => format!("{x}::text"),
            Scalar::Id | Scalar::BigInt | Scalar::BigDecimal | Scalar::Text(_)
                if PLAIN.contains(&value.base) =>
            {
                format!("'\"' || {x}::text || '\"'")
            }
            Scalar::Id | Scalar::String | Scalar::BigInt | Scalar::BigDecimal | Scalar::Text(_) => {
                format!("to_json({x}::text)::text")
            }
            Scalar::Timestamp { .. } => format!("to_json({x})::text"),
        },
        Shape::Enum(id) => {
            let values = model.enums.get(*id).map(|kind| kind.values.as_slice()).unwrap_or_default();
            if values.iter().all(|(name, label)| name == label) {
                format!("'\"' || {x}::text || '\"'")
            } else {
                let mut cases = String::new();
                for (name, label) in values {
                    let _ = write!(cases, " when {} then '\"{name}\"'", escape_literal(label).trim());
                }
                format!("case {x}::text{cases} end")
            }
        }
        Shape::List(item) => list(model, item, x),
        // Rows are selected from, never written whole.
        Shape::Composite(_) => "'null'".to_owned(),
    };
    if nullable { format!("coalesce({json}, 'null')") } else { format!("({json})") }
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
