//! `AuctionAggregate` and its parts.

use super::rows::shown;
use super::{Line, Sdl};
use crate::graphql::model::{Entity, Scalar, ValueType};

impl Sdl<'_> {
    pub(super) fn aggregates(&mut self, entity: &Entity) {
        let mut fields = vec![Line::new("count: Int!".to_owned(), Some("How many rows.".to_owned()))];
        let mut types = Vec::new();
        for (field, suffix) in [("sum", "Sum"), ("avg", "Avg"), ("min", "Min"), ("max", "Max")] {
            let columns: Vec<_> = shown(entity)
                .filter_map(|(name, column)| {
                    let value = match field {
                        "sum" => self.number(&column.value.sum()?),
                        "avg" => self.number(&column.value.average()?),
                        _ => self.extreme(&column.value)?,
                    };
                    Some(Line::from(format!("{name}: {value}")))
                })
                .collect();
            if !columns.is_empty() {
                fields.push(Line::from(format!("{field}: {}{suffix}", entity.name)));
                types.push((suffix, columns));
            }
        }
        self.block("type", &format!("{}Aggregate", entity.name), None, &fields);
        for (suffix, columns) in types {
            self.block("type", &format!("{}{suffix}", entity.name), None, &columns);
        }
    }

    fn number(&mut self, scalar: &Scalar) -> String {
        self.leaves.mention(scalar);
        scalar.name().to_owned()
    }

    fn extreme(&mut self, value: &ValueType) -> Option<String> {
        value.has_extremes().then(|| self.name(value))
    }
}
