//! On which variables a plan depends.

use std::collections::BTreeSet;

use apollo_compiler::executable as exe;
use apollo_compiler::response::{JsonMap, JsonValue};

/// The variables that a plan was made for. Requests whose variables give the same [`Shape::key`] share the plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// Variables whose values the plan depends on: those in directives, filters and orders. Of all others it only
    /// matters whether they are given, and whether they are null.
    shaping: BTreeSet<String>,
}

impl Shape {
    /// What the plan depends on, of these variables.
    #[must_use]
    pub fn key(&self, operation: &exe::Operation, variables: &JsonMap) -> String {
        let mut key = String::new();
        for definition in &operation.variables {
            let name = definition.name.as_str();
            match variables.get(name) {
                None => key.push('-'),
                Some(JsonValue::Null) => key.push('0'),
                Some(value) if self.shaping.contains(name) => {
                    key.push_str(&value.to_string());
                    key.push(';');
                }
                Some(_) => key.push('+'),
            }
        }
        key
    }

    /// From now on it depends on the value of this variable.
    pub(super) fn depend(&mut self, variable: &str) {
        if !self.shaping.contains(variable) {
            self.shaping.insert(variable.to_owned());
        }
    }

    /// Adds what another plan of the same operation depended on; says whether that was new.
    pub fn widen(&mut self, other: &Self) -> bool {
        let before = self.shaping.len();
        self.shaping.extend(other.shaping.iter().cloned());
        self.shaping.len() > before
    }
}
