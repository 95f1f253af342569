//! A condition as SQL. Names pass `escape_identifier`, values `escape_literal` with a cast, so that no text
//! of a client is part of a statement.

use postgres_protocol::escape::{escape_identifier, escape_literal};

use super::{Column, Condition, Operand, Test};
use crate::topic::filter::{Comparison, Matching, Singleton};

pub(super) fn write(out: &mut String, condition: &Condition, columns: &[Column]) {
    match condition {
        Condition::All(conditions) => join(out, conditions, " AND ", columns),
        Condition::Any(conditions) => join(out, conditions, " OR ", columns),
        Condition::Not(condition) => {
            out.push_str("NOT ");
            write(out, condition, columns);
        }
        Condition::Test { column, test } => {
            let Some(column) = columns.get(*column) else { return };
            out.push('(');
            write_test(out, column, test);
            out.push(')');
        }
    }
}

fn join(out: &mut String, conditions: &[Condition], operator: &str, columns: &[Column]) {
    out.push('(');
    for (place, condition) in conditions.iter().enumerate() {
        if place > 0 {
            out.push_str(operator);
        }
        write(out, condition, columns);
    }
    out.push(')');
}

fn write_test(out: &mut String, column: &Column, test: &Test) {
    out.push_str(&escape_identifier(&column.name));
    if let Test::Is(singleton) = test {
        out.push_str(match singleton {
            Singleton::Null => " IS NULL",
            Singleton::True => " IS TRUE",
            Singleton::False => " IS FALSE",
            Singleton::Unknown => " IS UNKNOWN",
        });
        return;
    }
    // A domain is compared as what it is over: Postgres finds no operator for one over an enum.
    out.push_str("::");
    out.push_str(&column.sql_type);
    if column.text {
        out.push_str(" COLLATE \"C\"");
    }
    out.push(' ');
    let value =
        |operand: &Operand| format!("{}::{}", escape_literal(&operand.text).trim_start(), column.sql_type);
    match test {
        Test::Is(_) => {}
        Test::Compare(_, comparison, operand) => {
            out.push_str(comparison.sql());
            out.push(' ');
            out.push_str(&value(operand));
        }
        Test::Among(_, operands) => {
            out.push_str("IN (");
            out.push_str(&operands.iter().map(value).collect::<Vec<_>>().join(", "));
            out.push(')');
        }
        Test::Matches(matching, pattern) => {
            out.push_str(matching.sql());
            out.push(' ');
            out.push_str(escape_literal(pattern.source()).trim_start());
            out.push_str("::pg_catalog.text");
        }
    }
}

impl Comparison {
    /// The operator as SQL writes it.
    const fn sql(self) -> &'static str {
        match self {
            Self::Eq => "=",
            Self::Neq => "<>",
            Self::Lt => "<",
            Self::Lte => "<=",
            Self::Gt => ">",
            Self::Gte => ">=",
            Self::Distinct => "IS DISTINCT FROM",
        }
    }
}

impl Matching {
    /// The operator as SQL writes it.
    const fn sql(self) -> &'static str {
        match self {
            Self::Like => "LIKE",
            Self::ILike => "ILIKE",
            Self::Match => "~",
            Self::IMatch => "~*",
        }
    }
}
