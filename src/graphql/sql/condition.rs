//! Conditions.

use postgres_protocol::escape::escape_identifier;

use super::{Above, Writer, rows::relation};
use crate::graphql::plan::{Comparison, Condition, From, Take};

/// `text`
const TEXT: u32 = 25;
/// `char(n)`
const BPCHAR: u32 = 1042;

impl Writer<'_> {
    pub(super) fn condition(&mut self, id: usize, condition: &Condition, alias: &str) -> String {
        let model = self.model;
        let column = |column: usize| {
            let column = model.entities.get(id).and_then(|entity| entity.columns.get(column));
            let name = escape_identifier(column.map_or("", |column| &column.name));
            (format!("{alias}.{name}"), column.map_or(0, |column| column.value.base))
        };
        match condition {
            Condition::And(all) => self.joined(id, all, alias, " and ", "true"),
            Condition::Or(any) => self.joined(id, any, alias, " or ", "false"),
            Condition::Not(inner) => format!("not ({})", self.condition(id, inner, alias)),
            Condition::Null(place, null) => {
                format!("{} is {}null", column(*place).0, if *null { "" } else { "not " })
            }
            Condition::Compare(place, comparison, operand) => {
                let value = self.operand(operand);
                let (mut column, base) = column(*place);
                // Patterns would meet the blanks at its end, which are not part of the value.
                if base == BPCHAR && operand.take() == &Take::Pattern {
                    column.push_str("::text");
                }
                let operator = match comparison {
                    Comparison::Eq => "=",
                    Comparison::Neq => "<>",
                    Comparison::Gt => ">",
                    Comparison::Gte => ">=",
                    Comparison::Lt => "<",
                    Comparison::Lte => "<=",
                    Comparison::In => return format!("{column} = any({value})"),
                    Comparison::Like => "like",
                    Comparison::Ilike => "ilike",
                    Comparison::StartsWith if base == TEXT => "^@",
                    Comparison::StartsWith => return format!("{column}::text ^@ {value}"),
                    Comparison::Regex => "~",
                    Comparison::Contains => "@>",
                };
                format!("{column} {operator} {value}")
            }
            Condition::Exists { target, on, condition } => {
                let Some(entity) = model.entities.get(*target) else { return "false".to_owned() };
                let other = self.alias('x');
                let above = Above { alias: alias.to_owned(), entity: id, row: String::new() };
                let mut all = self.membership(*target, &From::Linked(on.clone()), Some(&above), &other);
                all.push(self.condition(*target, condition, &other));
                format!("exists (select from {} {other} where {})", relation(entity), all.join(" and "))
            }
        }
    }

    fn joined(&mut self, id: usize, parts: &[Condition], alias: &str, word: &str, empty: &str) -> String {
        let parts: Vec<_> = parts.iter().map(|part| self.condition(id, part, alias)).collect();
        if parts.is_empty() { empty.to_owned() } else { format!("({})", parts.join(word)) }
    }
}
