//! From a filter's texts to a condition: finds its columns, has the database read its values, and refuses
//! what would not be decided exactly as Postgres does.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tokio_postgres::Client;

use super::{Gate, lost, quote_name};
use crate::change::compare::Kind;
use crate::channel::Refusal;
use crate::postgres::catalog::{self, Column, Equality, Table};
use crate::topic::condition::text::{PatternError, TextPattern};
use crate::topic::condition::{self, Condition, Operand};
use crate::topic::filter::{Filter, Matching, Singleton, Test};
use crate::topic::index::Pattern;
use crate::topic::pattern::Filtered;

/// What becomes of a filter.
pub(super) struct Resolved {
    /// What to match.
    pub(super) pattern: Pattern,
    /// What cannot be told of it.
    pub(super) warnings: Arc<[String]>,
}

/// A filter under way.
struct Resolution<'a> {
    /// Where the database is asked; without it, what takes a question is refused.
    gate: Option<&'a Gate>,
    /// As messages name it.
    name: String,
    table: &'a Table,
    /// The columns met so far.
    columns: Vec<&'a Column>,
}

type Resolving<'a> = Pin<Box<dyn Future<Output = Result<Condition, Refusal>> + Send + 'a>>;

pub(super) async fn resolve(
    gate: Option<&Gate>,
    found: &Table,
    schema: &str,
    table: &str,
    filter: &Filter,
) -> Result<Resolved, Refusal> {
    let name = format!("{schema}.{table}");
    let mut resolution = Resolution { gate, name, table: found, columns: Vec::new() };
    let condition = resolution.condition(filter).await?;
    let blind = resolution.columns.iter().filter(|column| !found.full && !column.key);
    let blind: Vec<&str> = blind.map(|column| column.name.as_str()).collect();
    let warnings = if blind.is_empty() { [].into() } else { [blind_filter(schema, table, &blind)].into() };
    let columns = resolution.columns.iter().map(|column| condition::Column {
        name: column.name.as_str().into(),
        sql_type: column.sql_type.as_str().into(),
        text: column.is_text(),
    });
    let filtered =
        Filtered { schema: schema.into(), table: table.into(), columns: columns.collect(), condition };
    Ok(Resolved { pattern: Pattern::Filtered(Arc::new(filtered)), warnings })
}

impl<'a> Resolution<'a> {
    fn condition<'b>(&'b mut self, filter: &'b Filter) -> Resolving<'b>
    where
        'a: 'b,
    {
        Box::pin(async move {
            Ok(match filter {
                Filter::All(filters) => Condition::All(self.conditions(filters).await?),
                Filter::Any(filters) => Condition::Any(self.conditions(filters).await?),
                Filter::Not(filter) => Condition::Not(Box::new(self.condition(filter).await?)),
                Filter::Test { column, test } => {
                    let (column, described) = self.column(column)?;
                    Condition::Test { column, test: self.test(described, test).await? }
                }
            })
        })
    }

    async fn conditions(&mut self, filters: &[Filter]) -> Result<Box<[Condition]>, Refusal> {
        let mut conditions = Vec::with_capacity(filters.len());
        for filter in filters {
            conditions.push(self.condition(filter).await?);
        }
        Ok(conditions.into())
    }

    fn column(&mut self, name: &str) -> Result<(usize, &'a Column), Refusal> {
        let found = self.table.columns.iter().find(|known| known.name == name);
        let found = found.ok_or_else(|| Refusal::ColumnNotFound(self.name.clone(), name.to_owned()))?;
        if !found.published {
            return Err(Refusal::ColumnNotPublished(self.name.clone(), name.to_owned()));
        }
        let place = self.columns.iter().position(|known| known.name == name).unwrap_or_else(|| {
            self.columns.push(found);
            self.columns.len() - 1
        });
        Ok((place, found))
    }

    async fn test(&self, column: &Column, test: &Test) -> Result<condition::Test, Refusal> {
        match test {
            Test::Is(Singleton::Null) if column.composite => {
                Err(undecided("null", column, &column.type_name))
            }
            Test::Is(Singleton::True | Singleton::False | Singleton::Unknown) if column.type_oid != BOOL => {
                Err(Refusal::FilterOperator(column.name.clone(), column.type_name.clone(), "is", "booleans"))
            }
            Test::Is(singleton) => Ok(condition::Test::Is(*singleton)),
            Test::Matches(matching, source) => self.pattern(column, *matching, source).await,
            Test::Among(values) => {
                let kind = equality(column)?;
                let operands = self.operands(column, &kind, values).await?;
                Ok(condition::Test::Among(kind, operands.into()))
            }
            Test::Compare(comparison, value) => {
                let kind = if comparison.orders() { self.order(column).await? } else { equality(column)? };
                let operands = self.operands(column, &kind, std::slice::from_ref(value)).await?;
                let operand = operands.into_iter().next().ok_or_else(|| no_value(column, value))?;
                Ok(condition::Test::Compare(kind, *comparison, operand))
            }
        }
    }

    /// How a column's values are ordered.
    async fn order(&self, column: &Column) -> Result<Kind, Refusal> {
        let kind = equality(column)?;
        if column.equality == Equality::Enum {
            let client = self.client().await?;
            let labels = catalog::labels(&client, column.type_oid).await.map_err(lost)?;
            return Ok(Kind::Labels(labels.into_iter().map(Into::into).collect()));
        }
        if !kind.ordered() || column.is_text() && !self.is_utf8() {
            return Err(undecided("the order", column, &column.type_name));
        }
        Ok(kind)
    }

    async fn pattern(
        &self,
        column: &Column,
        matching: Matching,
        source: &str,
    ) -> Result<condition::Test, Refusal> {
        if !column.is_text() {
            let (name, type_name) = (column.name.clone(), column.type_name.clone());
            return Err(Refusal::FilterOperator(name, type_name, matching.name(), "texts"));
        }
        equality(column)?;
        if !self.is_utf8() {
            return Err(undecided("a pattern", column, &column.type_name));
        }
        if source.contains('\0') {
            return Err(no_value(column, source));
        }
        // First what bounds its size, so that the database is given nothing large to compile.
        let pattern = TextPattern::new(matching, source).map_err(|error| {
            let (name, words) = (column.name.clone(), error.to_string());
            match error {
                PatternError::Unreadable | PatternError::Unfinished => Refusal::FilterPattern(name, words),
                _ => Refusal::FilterPatternUnsupported(name, words),
            }
        })?;
        if matches!(matching, Matching::Match | Matching::IMatch) {
            let client = self.client().await?;
            if !catalog::is_expression(&client, source).await.map_err(lost)? {
                let words = PatternError::Unreadable.to_string();
                return Err(Refusal::FilterPattern(column.name.clone(), words));
            }
        }
        Ok(condition::Test::Matches(matching, pattern))
    }

    /// Values to compare with, read by the database where they are not plain already.
    async fn operands(
        &self,
        column: &Column,
        kind: &Kind,
        values: &[String],
    ) -> Result<Vec<Operand>, Refusal> {
        let refused = || no_value(column, values.first().map_or("", String::as_str));
        if values.iter().any(|value| value.contains('\0')) {
            return Err(refused());
        }
        let plain = |value: &String| match column.type_name.as_str() {
            "text" | "varchar" => true,
            // A number that prints as itself and fits every integer type but the smallest.
            "int4" | "int8" => value.parse::<i32>().is_ok_and(|number| number.to_string() == *value),
            _ => false,
        };
        let texts = if values.iter().all(plain) {
            values.to_vec()
        } else {
            let client = self.client().await?;
            let read = catalog::canonical(&client, &column.sql_type, values).await.map_err(lost)?;
            read.ok_or_else(refused)?
        };
        texts.into_iter().map(|text| Operand::new(kind, text).ok_or_else(refused)).collect()
    }

    /// Other encodings order characters otherwise than the log's UTF-8 does, or do not know characters.
    fn is_utf8(&self) -> bool {
        self.table.encoding == "UTF8"
    }

    async fn client(&self) -> Result<Arc<Client>, Refusal> {
        match self.gate {
            Some(gate) => gate.client().await,
            None => Err(Refusal::Unavailable("the database has to be asked")),
        }
    }
}

/// `pg_type.dat`
const BOOL: u32 = 16;

/// How equal values of a column are recognised.
fn equality(column: &Column) -> Result<Kind, Refusal> {
    let named = |name: String| undecided("equality", column, &name);
    match column.equality {
        Equality::Enum => Ok(Kind::Opaque),
        Equality::BuiltIn => Kind::of(&column.type_name).ok_or_else(|| named(column.type_name.clone())),
        Equality::Foreign => Err(named(column.type_name.clone())),
        Equality::Collation => Err(named(format!("{} under a nondeterministic collation", column.type_name))),
    }
}

fn undecided(what: &'static str, column: &Column, type_name: &str) -> Refusal {
    Refusal::FilterType(what, column.name.clone(), type_name.to_owned())
}

fn no_value(column: &Column, value: &str) -> Refusal {
    let (name, type_name) = (column.name.clone(), column.type_name.clone());
    if value.eq_ignore_ascii_case("null") {
        return Refusal::FilterNull(name, type_name);
    }
    Refusal::FilterValue(name, type_name)
}

fn blind_filter(schema: &str, table: &str, columns: &[&str]) -> String {
    let columns = match columns {
        [column] => format!("column {column} is"),
        _ => format!("columns {} are", columns.join(", ")),
    };
    format!(
        "DELETEs, and rows that leave the filter, cannot be told: {columns} not part of the replica identity; \
         ALTER TABLE {} REPLICA IDENTITY FULL mends it",
        quote_name(schema, table)
    )
}
