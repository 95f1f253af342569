//! A random database: tables with odd names, keys of all sorts, and rows.

use std::collections::HashSet;
use std::fmt::Write as _;

use fastrand::Rng;
use postgres_protocol::escape::{escape_identifier, escape_literal};

use super::kinds::{KEYS, KINDS, Kind, LABELS};

/// Names that SQL needs quotes for, or that our own statements use.
const ODD: [&str; 30] = [
    "Upper",
    "sp ace",
    "qu\"ote",
    "it's",
    "back\\slash",
    "ünï",
    "日本語",
    "row",
    "walcast row",
    "walcast place",
    "select",
    "order",
    "t1",
    "t2",
    "s1",
    "s2",
    "l1",
    "x1",
    "r",
    "q",
    "j",
    "k",
    "e",
    "v",
    "$1",
    ";--",
    "a.b",
    "%s",
    "oid2",
    "sixty_three_bytes_are_the_most_that_a_name_may_have_in_postgres",
];

/// Types, and the lists of their rows.
const TYPES: [(&str, &str); 5] =
    [("Lamp", "lamps"), ("Desk", "desks"), ("Tree", "trees"), ("Cord", "cords"), ("Ring", "rings")];

#[derive(Debug)]
pub struct World {
    pub tables: Vec<Table>,
    pub links: Vec<Link>,
    /// What makes it.
    pub sql: String,
}

#[derive(Debug)]
pub struct Table {
    /// Quoted.
    pub sql: String,
    pub type_name: &'static str,
    pub list: &'static str,
    pub columns: Vec<Column>,
    /// The primary key; a view has none.
    pub key: Vec<usize>,
    /// Other unique keys.
    pub unique: Vec<Vec<usize>>,
    /// The table whose rows a view shows.
    pub view_of: Option<usize>,
}

#[derive(Clone, Debug)]
pub struct Column {
    /// Quoted.
    pub sql: String,
    pub field: String,
    pub kind: &'static Kind,
    pub not_null: bool,
    /// Its GraphQL type is `ID`.
    pub id: bool,
}

/// A foreign key.
#[derive(Debug)]
pub struct Link {
    pub from: usize,
    pub to: usize,
    pub on: Vec<(usize, usize)>,
    pub forward: String,
    pub backward: String,
    /// At most one row refers to a row.
    pub unique: bool,
    pub required: bool,
}

impl World {
    pub fn new(random: &mut Rng) -> Self {
        let labels: Vec<_> = LABELS.iter().map(|(label, _)| escape_literal(label)).collect();
        let sql = format!("create type mood as enum ({}); create domain word as text;\n", labels.join(", "));
        let mut world = Self { tables: Vec::new(), links: Vec::new(), sql };
        let mut rows: Vec<Vec<Vec<Option<String>>>> = Vec::new();
        let count = random.usize(2..=4);
        for _ in 0..count {
            let new = world.table(random, &rows);
            rows.push(new);
        }
        if random.bool() {
            world.view(random);
        }
        for place in 0..world.links.len() {
            let link = &world.links[place];
            let between =
                world.links.iter().filter(|other| (other.from, other.to) == (link.from, link.to)).count();
            let referring = &world.tables[link.from];
            let name =
                if link.unique { referring.type_name.to_lowercase() } else { referring.list.to_owned() };
            let ending = link.forward[..1].to_uppercase() + &link.forward[1..];
            let several = between > 1 || link.from == link.to;
            world.links[place].backward = if several { format!("{name}By{ending}") } else { name };
        }
        world
    }

    /// Makes a table with foreign keys to those before it, and returns its rows.
    fn table(&mut self, random: &mut Rng, others: &[Vec<Vec<Option<String>>>]) -> Vec<Vec<Option<String>>> {
        let me = self.tables.len();
        let (type_name, list) = TYPES[me];
        let sql = loop {
            let name = escape_identifier(ODD[random.usize(..ODD.len())]);
            if self.tables.iter().all(|table| table.sql != name) {
                break name;
            }
        };
        let mut names: Vec<_> = ODD.to_vec();
        random.shuffle(&mut names);
        let mut columns: Vec<Column> = Vec::new();
        let mut add = |columns: &mut Vec<Column>, kind, not_null, id| {
            let sql = escape_identifier(names.pop().unwrap());
            columns.push(Column { sql, field: format!("c{}", columns.len()), kind, not_null, id });
            columns.len() - 1
        };
        let key: Vec<_> = (0..random.usize(1..=3))
            .map(|_| add(&mut columns, &KINDS[random.usize(..KEYS)], true, true))
            .collect();
        let mut unique = Vec::new();
        if random.bool() {
            unique.push(vec![add(&mut columns, &KINDS[random.usize(..KEYS)], random.bool(), false)]);
        }
        for _ in 0..random.usize(2..=7) {
            add(&mut columns, &KINDS[random.usize(..KINDS.len())], random.usize(..3) == 0, false);
        }
        let first_link = self.links.len();
        for number in 0..random.usize(..=3) {
            let to = random.usize(..=me);
            let target: Vec<(usize, &'static Kind)> = if to == me {
                key.iter().map(|column| (*column, columns[*column].kind)).collect()
            } else {
                let target = &self.tables[to];
                target.key.iter().map(|column| (*column, target.columns[*column].kind)).collect()
            };
            let required = to != me && random.bool() && !others[to].is_empty();
            let on: Vec<_> = target
                .iter()
                .map(|(theirs, kind)| (add(&mut columns, kind, required, true), *theirs))
                .collect();
            let alone = random.usize(..3) == 0;
            if alone {
                unique.push(on.iter().map(|(ours, _)| *ours).collect());
            }
            let forward = format!("f{number}");
            self.links.push(Link {
                from: me,
                to,
                on,
                forward,
                backward: String::new(),
                unique: alone,
                required,
            });
        }
        let links = &self.links[first_link..];
        let mut rows: Vec<Vec<Option<String>>> = Vec::new();
        let mut seen = HashSet::new();
        for _ in 0..random.usize(2..=10) {
            let mut row: Vec<Option<String>> = columns
                .iter()
                .map(|column| {
                    let value = column.kind.values[random.usize(..column.kind.values.len())];
                    (column.not_null || random.usize(..4) > 0).then(|| value.to_owned())
                })
                .collect();
            for link in links {
                let targets = if link.to == me { &rows } else { &others[link.to] };
                let target = random.choice(targets).filter(|_| link.required || random.usize(..4) > 0);
                for (ours, theirs) in &link.on {
                    row[*ours] = target.and_then(|target| target[*theirs].clone());
                }
                // One null among several columns is enough for no reference at all.
                if !link.required && random.usize(..6) == 0 {
                    row[link.on[0].0] = None;
                }
            }
            let all: Vec<_> = [&key].into_iter().chain(&unique).collect();
            let values =
                |columns: &[usize]| columns.iter().map(|column| row[*column].clone()).collect::<Vec<_>>();
            let fresh = all.iter().enumerate().all(|(number, columns)| {
                let values = values(columns);
                values.iter().any(Option::is_none) || !seen.contains(&(number, values))
            });
            if fresh {
                seen.extend(all.iter().enumerate().map(|(number, columns)| (number, values(columns))));
                rows.push(row);
            }
        }
        let table = Table { sql, type_name, list, columns, key, unique, view_of: None };
        self.write(&table, first_link, &rows);
        self.tables.push(table);
        rows
    }

    fn write(&mut self, table: &Table, first_link: usize, rows: &[Vec<Option<String>>]) {
        let names = |columns: &[usize], of: &Table| {
            columns.iter().map(|column| of.columns[*column].sql.clone()).collect::<Vec<_>>().join(", ")
        };
        let out = &mut self.sql;
        let columns: Vec<_> = table
            .columns
            .iter()
            .map(|column| {
                format!(
                    "{} {}{}",
                    column.sql,
                    column.kind.sql,
                    if column.not_null { " not null" } else { "" }
                )
            })
            .collect();
        let _ = write!(
            out,
            "create table {} ({}, primary key ({})",
            table.sql,
            columns.join(", "),
            names(&table.key, table)
        );
        for unique in &table.unique {
            let _ = write!(out, ", unique ({})", names(unique, table));
        }
        for link in &self.links[first_link..] {
            let target = if link.to == self.tables.len() { table } else { &self.tables[link.to] };
            let (ours, theirs): (Vec<_>, Vec<_>) = link.on.iter().copied().unzip();
            let _ = write!(
                out,
                ", constraint {} foreign key ({}) references {} ({})",
                link.forward,
                names(&ours, table),
                target.sql,
                names(&theirs, target)
            );
        }
        out.push_str(");\n");
        let _ = writeln!(out, "comment on table {} is '@walcast name {}';", table.sql, table.type_name);
        for column in &table.columns {
            let _ = writeln!(
                out,
                "comment on column {}.{} is '@walcast name {}';",
                table.sql, column.sql, column.field
            );
        }
        for link in &self.links[first_link..] {
            let _ = writeln!(
                out,
                "comment on constraint {0} on {1} is '@walcast name {0}';",
                link.forward, table.sql
            );
        }
        // A function of the row, and one that returns all rows in the order in which they were written.
        let _ = writeln!(
            out,
            "create function own({0}) returns text language sql stable as 'select $1::text';
             create function every_{1}() returns setof {0} language sql stable as $$ select * from {0} order by ctid $$;",
            table.sql, table.type_name
        );
        for row in rows {
            let values: Vec<_> =
                row.iter().map(|value| value.as_deref().map_or("null".to_owned(), escape_literal)).collect();
            let _ = writeln!(out, "insert into {} values ({});", table.sql, values.join(", "));
        }
    }

    fn view(&mut self, random: &mut Rng) {
        let base = random.usize(..self.tables.len());
        let (type_name, list) = TYPES[4];
        let table = &self.tables[base];
        let columns: Vec<_> = table
            .columns
            .iter()
            .map(|column| Column { not_null: false, id: false, ..column.clone() })
            .collect();
        let sql = "\"the view\"".to_owned();
        let _ = writeln!(self.sql, "create view {sql} as select * from {};", table.sql);
        let _ = writeln!(self.sql, "comment on view {sql} is '@walcast name {type_name}';");
        for column in &columns {
            let _ = writeln!(
                self.sql,
                "comment on column {sql}.{} is '@walcast name {}';",
                column.sql, column.field
            );
        }
        self.tables.push(Table {
            sql,
            type_name,
            list,
            columns,
            key: Vec::new(),
            unique: Vec::new(),
            view_of: Some(base),
        });
    }

    /// Whether the rows at this end of a foreign key are at most one, and the end that they are of.
    pub fn other_end(&self, link: usize, forward: bool) -> (usize, bool) {
        let link = &self.links[link];
        if forward { (link.to, true) } else { (link.from, link.unique) }
    }

    /// The foreign keys at a table: each with its direction.
    pub fn ends(&self, table: usize) -> Vec<(usize, bool)> {
        let ends = self
            .links
            .iter()
            .enumerate()
            .flat_map(|(place, link)| [(place, true, link.from), (place, false, link.to)]);
        ends.filter(|(.., at)| *at == table).map(|(place, forward, _)| (place, forward)).collect()
    }

    /// The field at this end.
    pub fn field(&self, link: usize, forward: bool) -> &str {
        if forward { &self.links[link].forward } else { &self.links[link].backward }
    }
}
