//! Aggregates.

use postgres_protocol::escape::escape_identifier;

use super::{Above, Parts, Writer, leaf, rows::relation};
use crate::graphql::model::{Column, Scalar, Shape, ValueType};
use crate::graphql::plan::{Aggregate, Measure, Measured, Operation};

const INT2: u32 = 21;
const INT4: u32 = 23;
const INT8: u32 = 20;
const NUMERIC: u32 = 1700;

impl Writer<'_> {
    /// A select of one row with the object as `j`.
    pub(super) fn aggregate(&mut self, aggregate: &Aggregate, above: Option<&Above>) -> String {
        let model = self.model;
        let Some(entity) = model.entities.get(aggregate.entity) else { return String::new() };
        let alias = self.alias('t');
        let mut parts = Parts::default();
        for (key, measure) in &aggregate.fields {
            parts.member(key);
            match measure {
                Measure::Known(json) => parts.constant(json),
                Measure::Count => parts.expression("count(*)::text".to_owned()),
                Measure::Of(operation, fields) => {
                    let mut inner = Parts::default();
                    for (key, measured) in fields {
                        inner.member(key);
                        match measured {
                            Measured::Known(json) => inner.constant(json),
                            Measured::Column(column) => {
                                let Some(column) = entity.columns.get(*column) else { continue };
                                inner.expression(self.measured(*operation, column, &alias));
                            }
                        }
                    }
                    parts.expression(format!("({})", inner.object()));
                }
            }
        }
        let membership = self.membership(aggregate.entity, &aggregate.from, above, &alias);
        let wheres = self.where_clause(aggregate.entity, &aggregate.conditions, &alias, membership);
        // One row even where no aggregate is called, as for `__typename` alone.
        format!("select {} as j from {} {alias}{wheres} having true", parts.object(), relation(entity))
    }

    fn measured(&self, operation: Operation, column: &Column, alias: &str) -> String {
        let name = match operation {
            Operation::Sum => "sum",
            Operation::Avg => "avg",
            Operation::Min => "min",
            Operation::Max => "max",
        };
        let x = format!("{name}({alias}.{})", escape_identifier(&column.name));
        leaf::json(self.model, &result(operation, &column.value), &x, true)
    }
}

/// What an aggregate of such values returns (Postgres manual, 9.21 "Aggregate Functions").
fn result(operation: Operation, value: &ValueType) -> ValueType {
    let (scalar, base) = match (operation, &value.shape) {
        (Operation::Sum | Operation::Avg, Shape::Scalar(Scalar::Float)) => (Scalar::Float, value.base),
        (Operation::Sum, _) if [INT2, INT4].contains(&value.base) => (Scalar::BigInt, INT8),
        (Operation::Sum | Operation::Avg, _) => (Scalar::BigDecimal, NUMERIC),
        (Operation::Min | Operation::Max, _) => return value.clone(),
    };
    ValueType { shape: Shape::Scalar(scalar), base, ..value.clone() }
}
