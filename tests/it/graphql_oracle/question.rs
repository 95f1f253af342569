//! Random valid queries.

use fastrand::Rng;

use super::kinds::Literal;
use super::world::{Column, World};

/// A query, as a tree and as texts.
#[derive(Debug)]
pub struct Question {
    pub roots: Vec<(String, Ask)>,
    pub document: String,
    /// The JSON of the variables.
    pub variables: String,
}

#[derive(Debug)]
pub enum Ask {
    Typename(String),
    Column(usize),
    /// The function of the row.
    Own,
    /// A row by a key: its columns with their values.
    Key {
        table: usize,
        key: Vec<(usize, String)>,
        fields: Vec<(String, Ask)>,
    },
    /// The one row at the other end of a foreign key.
    One {
        link: usize,
        forward: bool,
        fields: Vec<(String, Ask)>,
    },
    /// A list: of the table or of the other end.
    Many {
        table: usize,
        link: Option<usize>,
        /// What the function returns, in its order.
        placed: bool,
        window: Window,
        fields: Vec<(String, Ask)>,
    },
    Aggregate {
        table: usize,
        link: Option<usize>,
        filter: Filter,
        measures: Vec<(String, Measure)>,
    },
}

#[derive(Debug)]
pub struct Window {
    pub filter: Filter,
    /// Column, descending, where nulls go if that was said.
    pub order: Vec<(usize, bool, Option<bool>)>,
    pub limit: Option<usize>,
    pub offset: usize,
}

#[derive(Debug)]
pub enum Measure {
    Typename(String),
    Count,
    Of(&'static str, Vec<(String, usize)>),
}

/// All of these.
pub type Filter = Vec<Part>;

#[derive(Debug)]
pub enum Part {
    /// Column, operator, operands.
    Column(usize, &'static str, Vec<String>),
    /// Foreign key, direction.
    Exists(usize, bool, Filter),
    And(Vec<Filter>),
    Or(Vec<Filter>),
    Not(Filter),
}

/// What writes a query.
pub struct Writer<'a> {
    pub(super) random: &'a mut Rng,
    pub(super) world: &'a World,
    keys: usize,
    fragments: Vec<String>,
    pub(super) declared: Vec<String>,
    pub(super) values: Vec<(String, Literal)>,
}

/// A query about the world.
pub fn question(random: &mut Rng, world: &World) -> Question {
    let mut writer =
        Writer { random, world, keys: 0, fragments: Vec::new(), declared: Vec::new(), values: Vec::new() };
    let (mut roots, mut texts) = (Vec::new(), Vec::new());
    for _ in 0..writer.random.usize(1..=3) {
        let (key, ask, text) = writer.root();
        roots.push((key, ask));
        texts.push(text);
    }
    let declared =
        if writer.declared.is_empty() { String::new() } else { format!("({})", writer.declared.join(", ")) };
    let body = writer.wrapped("Query", texts);
    let document = format!("query q{declared} {{ {body} }} {}", writer.fragments.join(" "));
    let variables = Literal::Object(writer.values).json();
    Question { roots, document, variables }
}

impl Writer<'_> {
    pub(super) fn chance(&mut self, of: usize) -> bool {
        self.random.usize(..of) == 0
    }

    /// A response key that is new, and what stands before the field's name for it.
    fn key(&mut self, field: &str, taken: &[String]) -> (String, String) {
        if self.random.bool() && !taken.iter().any(|key| key == field) {
            return (field.to_owned(), String::new());
        }
        self.keys += 1;
        let key = format!("{}{}", ["a", "__B", "select", "_"][self.random.usize(..4)], self.keys);
        (key.clone(), format!("{key}: "))
    }

    /// Selections, some of them in fragments.
    fn wrapped(&mut self, of: &str, texts: Vec<String>) -> String {
        let mut out = Vec::new();
        for text in texts {
            out.push(match self.random.usize(..12) {
                0 => format!("... {{ {text} }}"),
                1 => format!("... on {of} {{ {text} }}"),
                2 => {
                    let name = format!("F{}", self.fragments.len());
                    self.fragments.push(format!("fragment {name} on {of} {{ {text} }}"));
                    format!("...{name}")
                }
                3 => format!("{text} ... @include(if: false) {{ __typename }} {text}"),
                _ => text,
            });
        }
        out.join(" ")
    }

    /// The value itself, or a variable that stands for it.
    pub(super) fn given(&mut self, value: Literal, of: &str) -> Literal {
        if !self.chance(3) {
            return value;
        }
        let name = format!("v{}", self.values.len());
        self.declared.push(format!("${name}: {of}"));
        self.values.push((name.clone(), value));
        Literal::Variable(name)
    }

    fn root(&mut self) -> (String, Ask, String) {
        let world = self.world;
        let id = self.random.usize(..world.tables.len());
        let table = &world.tables[id];
        self.keys += 1;
        let key = format!("root{}", self.keys);
        let keys: Vec<_> =
            [&table.key].into_iter().chain(&table.unique).filter(|key| !key.is_empty()).collect();
        match self.random.usize(..4) {
            0 if !keys.is_empty() => {
                let columns = keys[self.random.usize(..keys.len())];
                let mut field = table.type_name.to_lowercase();
                if *columns != table.key {
                    let names: Vec<_> =
                        columns.iter().map(|column| table.columns[*column].field.to_uppercase()).collect();
                    field = format!("{field}By{}", names.join("And"));
                }
                let mut given = Vec::new();
                let mut arguments = Vec::new();
                for column in columns {
                    let held = &table.columns[*column];
                    let text = self.value(held);
                    let literal = self
                        .given(held.kind.literal(&text, held.id), &format!("{}!", held.kind.input(held.id)));
                    arguments.push(format!("{}: {}", held.field, literal.graphql()));
                    given.push((*column, text));
                }
                let (fields, text) = self.row(id, 0);
                let text = format!("{key}: {field}({}) {{{text}}}", arguments.join(", "));
                (key, Ask::Key { table: id, key: given, fields }, text)
            }
            1 => {
                let (ask, text) = self.aggregate(id, None);
                let text = format!("{key}: {}Aggregate{text}", table.list);
                (key, ask, text)
            }
            _ => {
                let (mut ask, text) = self.many(id, None, 0);
                let mut field = table.list.to_owned();
                if let Ask::Many { placed, .. } = &mut ask
                    && table.view_of.is_none()
                    && self.chance(4)
                {
                    *placed = true;
                    field = format!("every{}", table.type_name);
                }
                let text = format!("{key}: {field}{text}");
                (key, ask, text)
            }
        }
    }

    pub(super) fn value(&mut self, column: &Column) -> String {
        let values = column.kind.values;
        values[self.random.usize(..values.len())].to_owned()
    }

    fn many(&mut self, id: usize, link: Option<usize>, depth: usize) -> (Ask, String) {
        let world = self.world;
        let table = &world.tables[id];
        let mut arguments = Vec::new();
        let filter = self.argument_filter(id, &mut arguments);
        let mut order: Vec<(usize, bool, Option<bool>)> = Vec::new();
        // A view has no key that would settle ties.
        let settling = table.view_of.map_or(&[][..], |base| &world.tables[base].key);
        for _ in 0..self.random.usize(..3) {
            let column = self.random.usize(..table.columns.len());
            let known = order.iter().any(|(known, ..)| *known == column);
            if table.columns[column].kind.ordered && !known {
                let nulls = [None, Some(true), Some(false)][self.random.usize(..3)];
                order.push((column, self.random.bool(), nulls));
            }
        }
        for column in settling {
            if !order.iter().any(|(known, ..)| known == column) {
                order.push((*column, self.random.bool(), None));
            }
        }
        if !order.is_empty() || self.chance(8) {
            let mut items: Vec<_> = order
                .iter()
                .map(|(column, descending, nulls)| {
                    let direction = if *descending { "DESC" } else { "ASC" };
                    let nulls = match nulls {
                        None => "",
                        Some(true) => "_NULLS_FIRST",
                        Some(false) => "_NULLS_LAST",
                    };
                    let field = table.columns[*column].field.clone();
                    Literal::Object(vec![(field, Literal::Word(format!("{direction}{nulls}")))])
                })
                .collect();
            let literal =
                if items.len() == 1 && self.random.bool() { items.remove(0) } else { Literal::List(items) };
            let literal = self.given(literal, &format!("[{}Order!]", table.type_name));
            arguments.push(format!("orderBy: {}", literal.graphql()));
        }
        let limit = self.chance(3).then(|| self.random.usize(..5));
        let offset = if self.chance(4) { self.random.usize(..4) } else { 0 };
        for (name, number) in [("limit", limit), ("offset", Some(offset).filter(|offset| *offset > 0))] {
            if let Some(number) = number {
                let literal = self.given(Literal::Bare(number.to_string()), "Int");
                arguments.push(format!("{name}: {}", literal.graphql()));
            }
        }
        self.random.shuffle(&mut arguments);
        let arguments =
            if arguments.is_empty() { String::new() } else { format!("({})", arguments.join(", ")) };
        let (fields, text) = self.row(id, depth);
        let window = Window { filter, order, limit, offset };
        (Ask::Many { table: id, link, placed: false, window, fields }, format!("{arguments} {{{text}}}"))
    }

    /// What is selected of a row.
    fn row(&mut self, id: usize, depth: usize) -> (Vec<(String, Ask)>, String) {
        let world = self.world;
        let table = &world.tables[id];
        let ends = world.ends(id);
        let (mut fields, mut texts): (Vec<(String, Ask)>, Vec<String>) = (Vec::new(), Vec::new());
        for _ in 0..self.random.usize(1..=4) {
            let taken: Vec<_> = fields.iter().map(|(key, _)| key.clone()).collect();
            let end = if depth < 3 && self.chance(3) { self.random.choice(&ends).copied() } else { None };
            let (name, ask, rest) = if let Some((link, forward)) = end {
                let (other, one) = world.other_end(link, forward);
                let name = world.field(link, forward);
                if one {
                    let (inner, text) = self.row(other, depth + 1);
                    (name.to_owned(), Ask::One { link, forward, fields: inner }, format!(" {{{text}}}"))
                } else if self.chance(3) {
                    let (ask, text) = self.aggregate(other, Some(link));
                    (format!("{name}Aggregate"), ask, text)
                } else {
                    let (ask, text) = self.many(other, Some(link), depth + 1);
                    (name.to_owned(), ask, text)
                }
            } else if table.view_of.is_none() && self.chance(8) {
                ("own".to_owned(), Ask::Own, String::new())
            } else if self.chance(8) {
                ("__typename".to_owned(), Ask::Typename(table.type_name.to_owned()), String::new())
            } else {
                let column = self.random.usize(..table.columns.len());
                (table.columns[column].field.clone(), Ask::Column(column), String::new())
            };
            let (key, alias) = self.key(&name, &taken);
            fields.push((key, ask));
            texts.push(format!("{alias}{name}{rest}"));
        }
        let text = self.wrapped(table.type_name, texts);
        (fields, text)
    }

    fn aggregate(&mut self, id: usize, link: Option<usize>) -> (Ask, String) {
        let table = &self.world.tables[id];
        let mut arguments = Vec::new();
        let filter = self.argument_filter(id, &mut arguments);
        let arguments =
            if arguments.is_empty() { String::new() } else { format!("({})", arguments.join(", ")) };
        let (mut measures, mut texts) = (Vec::new(), Vec::new());
        for name in ["count", "sum", "avg", "min", "max", "__typename"] {
            let able: Vec<usize> = (0..table.columns.len())
                .filter(|column| {
                    let column = &table.columns[*column];
                    let summable = column.kind.sum.is_some() && !column.id;
                    if ["min", "max"].contains(&name) { column.kind.extremes && !column.id } else { summable }
                })
                .collect();
            if self.random.bool() && !(name == "__typename" && measures.is_empty()) {
                continue;
            }
            let (key, alias) = self.key(name, &[]);
            match name {
                "count" => {
                    measures.push((key, Measure::Count));
                    texts.push(format!("{alias}{name}"));
                }
                "__typename" => {
                    measures.push((key, Measure::Typename(format!("{}Aggregate", table.type_name))));
                    texts.push(format!("{alias}{name}"));
                }
                _ if !able.is_empty() => {
                    let mut columns: Vec<(String, usize)> = Vec::new();
                    let mut inner = Vec::new();
                    for _ in 0..self.random.usize(1..=3) {
                        let column = able[self.random.usize(..able.len())];
                        let taken: Vec<_> = columns.iter().map(|(key, _)| key.clone()).collect();
                        let field = &table.columns[column].field;
                        let (key, alias) = self.key(field, &taken);
                        columns.push((key, column));
                        inner.push(format!("{alias}{field}"));
                    }
                    measures.push((key, Measure::Of(name, columns)));
                    texts.push(format!("{alias}{name} {{ {} }}", inner.join(" ")));
                }
                _ => {}
            }
        }
        let text = self.wrapped(&format!("{}Aggregate", table.type_name), texts);
        (Ask::Aggregate { table: id, link, filter, measures }, format!("{arguments} {{{text}}}"))
    }
}
