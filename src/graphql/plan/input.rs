//! Values of arguments and variables, and the texts that Postgres reads.

use apollo_compiler::ast::Value;
use apollo_compiler::response::{JsonMap, JsonValue};
use apollo_compiler::{Name, Node};

use super::{PlanError, Take, label};
use crate::graphql::model::{Enum, Scalar, Shape, ValueType};

/// A value in a document or in variables.
#[derive(Clone, Copy, Debug)]
pub(super) enum Input<'a> {
    /// In the document; may hold variables further down.
    Literal(&'a Value),
    /// In the variables.
    Json(&'a JsonValue),
}

impl<'a> Input<'a> {
    /// It is null.
    pub(super) fn is_null(self) -> bool {
        matches!(self, Self::Literal(Value::Null) | Self::Json(JsonValue::Null))
    }

    /// The word of an enum value.
    pub(super) fn word(self) -> Option<&'a str> {
        match self {
            Self::Literal(Value::Enum(name)) => Some(name.as_str()),
            Self::Json(JsonValue::String(text)) => Some(text.as_str()),
            _ => None,
        }
    }

    fn given(self) -> &'static str {
        match self {
            Self::Literal(Value::Null) | Self::Json(JsonValue::Null) => "null",
            Self::Literal(Value::Boolean(_)) | Self::Json(JsonValue::Bool(_)) => "a boolean",
            Self::Literal(Value::Int(_) | Value::Float(_)) | Self::Json(JsonValue::Number(_)) => "a number",
            Self::Literal(Value::String(_)) | Self::Json(JsonValue::String(_)) => "a string",
            Self::Literal(Value::List(_)) | Self::Json(JsonValue::Array(_)) => "a list",
            Self::Literal(Value::Object(_)) | Self::Json(JsonValue::Object(_)) => "an object",
            Self::Literal(Value::Enum(_)) => "an enum value",
            Self::Literal(Value::Variable(_)) => "a variable",
        }
    }

    fn items(self) -> Option<Vec<Self>> {
        match self {
            Self::Literal(Value::List(items)) => Some(items.iter().map(|item| Self::Literal(item)).collect()),
            Self::Json(JsonValue::Array(items)) => Some(items.iter().map(Self::Json).collect()),
            _ => None,
        }
    }
}

/// A document's value as JSON; variables in it take their values, absent ones are null.
pub(super) fn json(value: &Value, variables: &JsonMap) -> JsonValue {
    match value {
        Value::Null => JsonValue::Null,
        Value::Boolean(value) => JsonValue::Bool(*value),
        Value::String(text) => JsonValue::String(text.as_str().into()),
        Value::Enum(name) => JsonValue::String(name.as_str().into()),
        Value::Int(int) => number(int.as_str()),
        Value::Float(float) => number(float.as_str()),
        Value::Variable(name) => variables.get(name.as_str()).cloned().unwrap_or(JsonValue::Null),
        Value::List(items) => JsonValue::Array(items.iter().map(|item| json(item, variables)).collect()),
        Value::Object(fields) => JsonValue::Object(
            fields.iter().map(|(name, value)| (name.as_str().into(), json(value, variables))).collect(),
        ),
    }
}

/// The text of a document's value as JSON. Its numbers are JSON's, and keep all their digits.
pub(super) fn json_text(value: &Value, variables: &JsonMap) -> String {
    match value {
        Value::Int(int) => int.as_str().to_owned(),
        Value::Float(float) => float.as_str().to_owned(),
        Value::List(items) => {
            let items: Vec<_> = items.iter().map(|item| json_text(item, variables)).collect();
            format!("[{}]", items.join(","))
        }
        Value::Object(fields) => {
            let member =
                |(name, value): &(Name, Node<Value>)| format!("\"{name}\":{}", json_text(value, variables));
            format!("{{{}}}", fields.iter().map(member).collect::<Vec<_>>().join(","))
        }
        other => json(other, variables).to_string(),
    }
}

/// A number of the document; one that JSON's numbers cannot hold stays a text, which loses nothing.
fn number(token: &str) -> JsonValue {
    match token.parse::<i64>() {
        Ok(int) => JsonValue::Number(int.into()),
        Err(_) => JsonValue::String(token.into()),
    }
}

/// The text of a value for Postgres; `None` is NULL.
pub(super) fn text(input: Input<'_>, take: &Take, enums: &[Enum]) -> Result<Option<String>, PlanError> {
    if input.is_null() {
        return Ok(None);
    }
    match take {
        Take::Value(value) => element(input, value, enums).map(Some),
        Take::Any(value) => list(input, value, enums).map(Some),
        Take::Pattern => scalar(input, &Scalar::String).map(Some),
        Take::Count(limit) => {
            let given = scalar(input, &Scalar::Int)?;
            match given.parse::<u32>() {
                Ok(count) if count <= *limit => Ok(Some(given)),
                _ => Err(PlanError::Count { argument: "`limit` or `offset`", given, limit: *limit }),
            }
        }
    }
}

fn element(input: Input<'_>, value: &ValueType, enums: &[Enum]) -> Result<String, PlanError> {
    match &value.shape {
        Shape::Scalar(kind) => scalar(input, kind),
        Shape::Enum(id) => input
            .word()
            .and_then(|word| label(enums, *id, word))
            .map(str::to_owned)
            .ok_or_else(|| unfit(enums.get(*id).map_or("", |kind| &kind.name), input)),
        Shape::List(item) => list(input, item, enums),
        Shape::Composite(_) => Err(unfit("a row", input)),
    }
}

/// An array's text: elements always quoted, since an unquoted one may mean something else (NULL, blanks).
/// Postgres manual, 8.15.6 "Array Input and Output Syntax".
fn list(input: Input<'_>, item: &ValueType, enums: &[Enum]) -> Result<String, PlanError> {
    // A single value stands for a list of one (GraphQL specification, 3.11 "Input Coercion").
    let items = input.items().unwrap_or_else(|| vec![input]);
    let mut out = String::from("{");
    for (place, one) in items.into_iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        if one.is_null() {
            out.push_str("NULL");
            continue;
        }
        out.push('"');
        for character in element(one, item, enums)?.chars() {
            if matches!(character, '"' | '\\') {
                out.push('\\');
            }
            out.push(character);
        }
        out.push('"');
    }
    out.push('}');
    Ok(out)
}

fn scalar(input: Input<'_>, kind: &Scalar) -> Result<String, PlanError> {
    if *kind == Scalar::Json {
        return Ok(match input {
            Input::Json(value) => value.to_string(),
            Input::Literal(value) => json_text(value, &JsonMap::new()),
        });
    }
    let text = match input {
        Input::Literal(Value::String(text)) => text.clone(),
        Input::Literal(Value::Int(int)) => int.as_str().to_owned(),
        Input::Literal(Value::Float(float)) => float.as_str().to_owned(),
        Input::Json(JsonValue::String(text)) => text.as_str().to_owned(),
        Input::Json(JsonValue::Number(number)) => number.to_string(),
        Input::Literal(Value::Boolean(value)) | Input::Json(JsonValue::Bool(value)) => value.to_string(),
        other => return Err(unfit(kind.name(), other)),
    };
    if text.contains('\0') {
        // Postgres has no such character in any text.
        return Err(PlanError::Value {
            scalar: kind.name().to_owned(),
            given: "a text with the character NUL",
        });
    }
    Ok(text)
}

fn unfit(scalar: &str, input: Input<'_>) -> PlanError {
    PlanError::Value { scalar: scalar.to_owned(), given: input.given() }
}
