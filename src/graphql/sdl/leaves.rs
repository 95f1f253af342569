//! Scalars, enums and the filters of columns: those that the rest of the text mentions.

use indexmap::IndexMap;

use super::description::described;
use super::{Line, Sdl};
use crate::graphql::model::{Model, Scalar, Shape, ValueType};
use crate::graphql::text::text;

/// What was mentioned, in alphabetical order once it is written.
#[derive(Default)]
pub(super) struct Leaves {
    scalars: IndexMap<String, ()>,
    /// Fields of filters by the filter's name.
    filters: IndexMap<String, Vec<String>>,
    pub(super) orders: bool,
}

impl Leaves {
    pub(super) fn mention(&mut self, scalar: &Scalar) {
        if !matches!(scalar, Scalar::Id | Scalar::Int | Scalar::Float | Scalar::Boolean | Scalar::String) {
            self.scalars.insert(scalar.name().to_owned(), ());
        }
    }

    /// The filter for a column's values; composites have none.
    pub(super) fn filter(&mut self, model: &Model, value: &ValueType) -> Option<String> {
        let (name, fields) = if let Shape::List(element) = &value.shape {
            let leaf = leaf(model, element)?;
            (format!("{leaf}ListFilter"), list_operators(leaf, value))
        } else {
            let leaf = leaf(model, value)?;
            (format!("{leaf}Filter"), operators(leaf, value))
        };
        self.filters.insert(name.clone(), fields);
        Some(name)
    }
}

fn leaf<'a>(model: &'a Model, value: &'a ValueType) -> Option<&'a str> {
    match &value.shape {
        Shape::Scalar(scalar) => Some(scalar.name()),
        Shape::Enum(id) => model.enums.get(*id).map(|kind| kind.name.as_str()),
        Shape::List(_) | Shape::Composite(_) => None,
    }
}

fn operators(leaf: &str, value: &ValueType) -> Vec<String> {
    let mut fields = Vec::new();
    let boolean = value.shape == Shape::Scalar(Scalar::Boolean);
    if value.comparable {
        fields.extend([format!("eq: {leaf}"), format!("neq: {leaf}")]);
    }
    if value.ordered && !boolean {
        fields.extend(["gt", "gte", "lt", "lte"].map(|operator| format!("{operator}: {leaf}")));
    }
    if value.comparable && !boolean {
        fields.push(format!("in: [{leaf}!]"));
    }
    if value.shape == Shape::Scalar(Scalar::String) {
        fields.extend(["like", "ilike", "startsWith", "regex"].map(|operator| format!("{operator}: {leaf}")));
    }
    fields.push("is: Is".to_owned());
    fields
}

fn list_operators(leaf: &str, value: &ValueType) -> Vec<String> {
    let mut fields = Vec::new();
    if value.comparable {
        fields.extend(["eq", "neq", "contains"].map(|operator| format!("{operator}: [{leaf}!]")));
    }
    fields.push("is: Is".to_owned());
    fields
}

/// What a scalar's values are, and where that is specified.
fn description(scalar: &str) -> (&'static str, Option<&'static str>) {
    match scalar {
        "BigInt" => {
            ("A whole number of up to 64 bits, as a string of its digits: JSON readers round numbers.", None)
        }
        "BigDecimal" => {
            ("A decimal number with all its digits, as a string; also `NaN` and `Infinity`.", None)
        }
        "DateTime" => (
            "A moment, such as `2024-05-01T12:30:00.123456+00:00`.",
            Some("https://www.rfc-editor.org/rfc/rfc3339"),
        ),
        "LocalDateTime" => ("A date and time without zone, such as `2024-05-01T12:30:00.123456`.", None),
        "JSON" => ("Any JSON value.", None),
        "UUID" => ("A UUID in lower case.", Some("https://www.rfc-editor.org/rfc/rfc9562")),
        "Date" => ("A date, such as `2024-05-01`.", None),
        "LocalTime" => ("A time of day without zone, such as `12:30:00.123456`.", None),
        "Time" => ("A time of day with its zone, such as `12:30:00.123456+02`.", None),
        "Interval" => ("A span of time as PostgreSQL writes it, such as `1 day 02:30:00`.", None),
        _ => ("A value of the PostgreSQL type of this name, as its text.", None),
    }
}

impl Sdl<'_> {
    /// Writes what was mentioned.
    pub(super) fn leaves(&mut self) {
        let mut leaves = std::mem::take(&mut self.leaves);
        for kind in &self.model.enums {
            let values: Vec<_> = kind.values.iter().map(|(value, _)| Line::from(value.clone())).collect();
            self.block("enum", &kind.name, kind.description.as_deref(), &values);
        }
        leaves.scalars.sort_keys();
        for scalar in leaves.scalars.keys() {
            let (description, specification) = description(scalar);
            self.text.push('\n');
            described(&mut self.text, Some(description), "");
            let specified =
                specification.map(|url| format!(" @specifiedBy(url: \"{url}\")")).unwrap_or_default();
            text!(self.text, "scalar {scalar}{specified}\n");
        }
        if leaves.orders {
            let values =
                ["ASC", "ASC_NULLS_FIRST", "ASC_NULLS_LAST", "DESC", "DESC_NULLS_FIRST", "DESC_NULLS_LAST"];
            let description =
                "Which rows come first. Without a word on nulls they come last in `ASC`, first in `DESC`.";
            let values = values.map(|value| Line::from(value.to_owned()));
            self.block("enum", "OrderDirection", Some(description), &values);
        }
        if leaves.filters.is_empty() {
            return;
        }
        leaves.filters.sort_keys();
        for (name, fields) in leaves.filters {
            let fields: Vec<_> = fields.into_iter().map(Line::from).collect();
            self.block("input", &name, None, &fields);
        }
        let values = ["NULL", "NOT_NULL"].map(|value| Line::from(value.to_owned()));
        self.block("enum", "Is", Some("Whether there is a value."), &values);
    }
}
