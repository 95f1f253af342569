//! Arguments: what a field was given, seen through variables.

use apollo_compiler::ast::Value;
use apollo_compiler::executable as exe;
use apollo_compiler::response::JsonValue;

use super::input::{Input, json, json_text, text};
use super::planner::Planner;
use super::{Operand, PlanError, Take};
use crate::graphql::model::{Scalar, Shape};

impl<'a> Planner<'a> {
    /// An argument that was given; a variable without a value is none.
    pub(super) fn argument(&self, field: &'a exe::Field, name: &str) -> Option<Input<'a>> {
        let value = field.specified_argument_by_name(name)?.as_ref();
        self.resolve_kept(Input::Literal(value))
    }

    /// The input itself, unless it is a variable without a value. Variables stay variables: nobody has looked yet.
    pub(super) fn resolve_kept(&self, input: Input<'a>) -> Option<Input<'a>> {
        match input {
            Input::Literal(Value::Variable(name)) if !self.variables.contains_key(name.as_str()) => None,
            other => Some(other),
        }
    }

    /// Looks into a variable: from now on the plan depends on its value.
    pub(super) fn resolve(&mut self, input: Input<'a>) -> Option<Input<'a>> {
        match input {
            Input::Literal(Value::Variable(name)) => {
                self.shape.depend(name);
                self.variables.get(name.as_str()).map(Input::Json)
            }
            other => Some(other),
        }
    }

    /// Whether it is null; the shape tells that of every variable.
    pub(super) fn null(&self, input: Input<'a>) -> bool {
        match input {
            Input::Literal(Value::Variable(name)) => {
                matches!(self.variables.get(name.as_str()), None | Some(JsonValue::Null))
            }
            other => other.is_null(),
        }
    }

    /// The items of a list; one that is no list stands for a list of it (specification, 3.11), null for none.
    pub(super) fn items(&mut self, input: Input<'a>) -> Vec<Input<'a>> {
        match self.resolve(input) {
            Some(Input::Literal(Value::List(items))) => {
                items.iter().map(|item| Input::Literal(item)).collect()
            }
            Some(Input::Json(JsonValue::Array(items))) => items.iter().map(Input::Json).collect(),
            Some(one) if !one.is_null() => vec![one],
            _ => Vec::new(),
        }
    }

    /// The fields of an input object, without those whose variable has no value.
    pub(super) fn fields(&mut self, input: Input<'a>) -> Vec<(&'a str, Input<'a>)> {
        match self.resolve(input) {
            Some(Input::Literal(Value::Object(fields))) => fields
                .iter()
                .filter_map(|(name, value)| {
                    Some((name.as_str(), self.resolve_kept(Input::Literal(value.as_ref()))?))
                })
                .collect(),
            Some(Input::Json(JsonValue::Object(fields))) => {
                fields.iter().map(|(name, value)| (name.as_str(), Input::Json(value))).collect()
            }
            _ => Vec::new(),
        }
    }

    /// A value that becomes a parameter.
    pub(super) fn operand(&mut self, input: Input<'a>, take: Take) -> Result<Operand, PlanError> {
        if let Input::Literal(Value::Variable(name)) = input {
            return Ok(Operand::Variable(name.as_str().into(), take.into()));
        }
        if let (Input::Literal(value), Take::Value(of)) = (input, &take)
            && of.shape == Shape::Scalar(Scalar::Json)
            && !self.null(input)
        {
            self.look_into(value);
            return Ok(Operand::Constant(Some(json_text(value, self.variables).into()), take.into()));
        }
        let inner = match input {
            Input::Literal(value) => {
                self.look_into(value);
                Some(json(value, self.variables))
            }
            Input::Json(_) => None,
        };
        // Through JSON only where variables stand inside: a number's digits must not change.
        let resolved = match (&inner, input) {
            (Some(value), Input::Literal(literal)) if holds_variable(literal) => Input::Json(value),
            _ => input,
        };
        let text = text(resolved, &take, &self.model.enums)?;
        Ok(Operand::Constant(text.map(Into::into), take.into()))
    }

    fn look_into(&mut self, value: &Value) {
        match value {
            Value::Variable(name) => {
                self.shape.depend(name);
            }
            Value::List(items) => items.iter().for_each(|item| self.look_into(item)),
            Value::Object(fields) => fields.iter().for_each(|(_, value)| self.look_into(value)),
            _ => {}
        }
    }
}

fn holds_variable(value: &Value) -> bool {
    match value {
        Value::Variable(_) => true,
        Value::List(items) => items.iter().any(|item| holds_variable(item)),
        Value::Object(fields) => fields.iter().any(|(_, value)| holds_variable(value)),
        _ => false,
    }
}
