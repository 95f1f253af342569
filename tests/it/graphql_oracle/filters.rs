//! Random filters.

use super::kinds::{Form, Literal};
use super::question::{Filter, Part, Writer};
use super::world::{Column, Table};

impl Writer<'_> {
    pub(super) fn argument_filter(&mut self, id: usize, arguments: &mut Vec<String>) -> Filter {
        if !self.random.bool() {
            return Vec::new();
        }
        let hoisted = self.chance(5);
        let (filter, literal) = self.filter(id, 3, hoisted);
        let literal = if hoisted {
            let name = format!("v{}", self.values.len());
            self.declared.push(format!("${name}: {}Filter", self.world.tables[id].type_name));
            self.values.push((name.clone(), literal));
            Literal::Variable(name)
        } else {
            literal
        };
        arguments.push(format!("filter: {}", literal.graphql()));
        filter
    }

    fn filter(&mut self, id: usize, depth: usize, plain: bool) -> (Filter, Literal) {
        let world = self.world;
        let table: &Table = &world.tables[id];
        let (mut parts, mut fields): (Filter, Vec<(String, Literal)>) = (Vec::new(), Vec::new());
        for _ in 0..self.random.usize(..=2) {
            let mut columns = Vec::new();
            columns.extend(0..table.columns.len());
            let place = columns[self.random.usize(..columns.len())];
            let column = &table.columns[place];
            if fields.iter().any(|(name, _)| *name == column.field) {
                continue;
            }
            let mut operators = Vec::new();
            for _ in 0..self.random.usize(1..=2) {
                let (operator, operands, literal, of) = self.operator(column);
                if operators.iter().any(|(name, _)| *name == operator) {
                    continue;
                }
                let literal = if plain { literal } else { self.given(literal, &of) };
                operators.push((operator.to_owned(), literal));
                parts.push(Part::Column(place, operator, operands));
            }
            fields.push((column.field.clone(), Literal::Object(operators)));
        }
        if depth > 0 {
            if self.chance(3) {
                let ends = world.ends(id);
                if let Some((link, forward)) = self.random.choice(&ends).copied() {
                    let (filter, literal) = self.filter(world.other_end(link, forward).0, depth - 1, plain);
                    parts.push(Part::Exists(link, forward, filter));
                    fields.push((world.field(link, forward).to_owned(), literal));
                }
            }
            for word in ["and", "or", "not"] {
                if !self.chance(6) {
                    continue;
                }
                if word == "not" {
                    let (filter, literal) = self.filter(id, depth - 1, plain);
                    parts.push(Part::Not(filter));
                    fields.push((word.to_owned(), literal));
                    continue;
                }
                let count = self.random.usize(..3);
                let (filters, mut literals): (Vec<_>, Vec<_>) =
                    (0..count).map(|_| self.filter(id, depth - 1, plain)).unzip();
                parts.push(if word == "and" { Part::And(filters) } else { Part::Or(filters) });
                let literal = if count == 1 && self.random.bool() {
                    literals.remove(0)
                } else {
                    Literal::List(literals)
                };
                fields.push((word.to_owned(), literal));
            }
        }
        (parts, Literal::Object(fields))
    }

    /// An operator, its operands as Postgres reads them, the value given, and its GraphQL type.
    fn operator(&mut self, column: &Column) -> (&'static str, Vec<String>, Literal, String) {
        let kind = column.kind;
        let of = kind.input(column.id);
        let mut operators = vec!["is"];
        if kind.comparable {
            operators.extend(["eq", "neq"]);
            match kind.form {
                Form::List(_) if !column.id => operators.push("contains"),
                Form::Boolean => {}
                _ => operators.push("in"),
            }
        }
        let single = column.id || !matches!(kind.form, Form::Boolean | Form::List(_));
        if kind.ordered && single {
            operators.extend(["gt", "gte", "lt", "lte"]);
        }
        if kind.is_text() && !column.id {
            operators.extend(["like", "ilike", "startsWith", "regex"]);
        }
        let operator = operators[self.random.usize(..operators.len())];
        match operator {
            "is" => {
                let word = ["NULL", "NOT_NULL"][self.random.usize(..2)];
                (operator, vec![word.to_owned()], Literal::Word(word.to_owned()), "Is".to_owned())
            }
            "in" => {
                let values: Vec<_> = (0..self.random.usize(..4)).map(|_| self.value(column)).collect();
                let literal =
                    Literal::List(values.iter().map(|text| kind.literal(text, column.id)).collect());
                (operator, values, literal, format!("[{of}!]"))
            }
            "like" | "ilike" => {
                let pattern =
                    ["%", "a%", "_", "%\\\\%", "%'%", "A", "\\%", "%ä%", "", "w%"][self.random.usize(..10)];
                (operator, vec![pattern.to_owned()], Literal::Text(pattern.to_owned()), of)
            }
            "startsWith" => {
                let pattern = ["", "a", "A", "it'", "qu\"", "\\", "%", "tab\t"][self.random.usize(..8)];
                (operator, vec![pattern.to_owned()], Literal::Text(pattern.to_owned()), of)
            }
            "regex" => {
                let pattern = ["^a", "", "\\\\", "[A-Z]$", "'", "(?i)^[aw]", "\\s"][self.random.usize(..7)];
                (operator, vec![pattern.to_owned()], Literal::Text(pattern.to_owned()), of)
            }
            _ => {
                let mut text = self.value(column);
                // What is given to a list has no nulls and begins at 1.
                if matches!(kind.form, Form::List(_)) && (text.contains("NULL") || text.starts_with('[')) {
                    "{}".clone_into(&mut text);
                }
                (operator, vec![text.clone()], kind.literal(&text, column.id), of)
            }
        }
    }
}
