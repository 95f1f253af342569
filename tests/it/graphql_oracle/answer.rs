//! The same answers by a slow path: whole tables, joined, filtered, ordered and cut here.

use std::cmp::Ordering;
use std::collections::HashMap;

use postgres_protocol::escape::escape_literal;
use tokio_postgres::{Client, SimpleQueryMessage};

use super::kinds::{Form, Kind, json, quoted};
use super::question::{Ask, Filter, Measure, Part, Window};
use super::world::{Column, Link, World};

/// Texts of one row.
type Row = Vec<Option<String>>;

/// Reads a world with plain SELECTs, and keeps what it read.
pub struct Reader<'a> {
    world: &'a World,
    client: &'a Client,
    rows: HashMap<usize, Vec<Row>>,
    /// What a condition is for each row.
    conditions: HashMap<String, Vec<Option<bool>>>,
    /// The place of each row's value in the order of a column.
    ranks: HashMap<(usize, usize), Vec<Option<usize>>>,
}

impl<'a> Reader<'a> {
    pub async fn new(world: &'a World, client: &'a Client) -> Self {
        client.batch_execute("set timezone = 'UTC'").await.unwrap();
        let mut reader =
            Self { world, client, rows: HashMap::new(), conditions: HashMap::new(), ranks: HashMap::new() };
        for table in 0..world.tables.len() {
            let mut columns: Vec<_> = world.tables[table].columns.iter().map(text_of).collect();
            columns.push("(oracle.*)::text".to_owned());
            let rows = reader.select(table, &columns.join(", ")).await;
            reader.rows.insert(table, rows);
        }
        reader
    }

    /// Expressions for each row, in an order that is always the same.
    async fn select(&self, table: usize, expressions: &str) -> Vec<Row> {
        // A view has the rows of its table, in the same order.
        let table = &self.world.tables[self.world.tables[table].view_of.unwrap_or(table)];
        let sql = format!("select {expressions} from {} as oracle order by ctid", table.sql);
        self.texts(&sql).await
    }

    async fn texts(&self, sql: &str) -> Vec<Row> {
        let messages = self.client.simple_query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        let rows = messages.into_iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => {
                Some((0..row.len()).map(|column| row.get(column).map(str::to_owned)).collect())
            }
            _ => None,
        });
        rows.collect()
    }

    /// `data` of the answer.
    pub async fn answer(&mut self, roots: &[(String, Ask)]) -> String {
        let mut out = Vec::new();
        for (key, ask) in roots {
            out.push(format!("{}:{}", quoted(key), Box::pin(self.ask(ask, 0, 0)).await));
        }
        format!("{{{}}}", out.join(","))
    }

    fn row(&self, table: usize, row: usize) -> &Row {
        &self.rows[&table][row]
    }

    /// The JSON of what is asked of a row of a table.
    async fn ask(&mut self, ask: &Ask, table: usize, row: usize) -> String {
        let world = self.world;
        match ask {
            Ask::Typename(name) => quoted(name),
            Ask::Column(column) => {
                let held = &world.tables[table].columns[*column];
                self.row(table, row)[*column]
                    .as_deref()
                    .map_or("null".to_owned(), |text| held.kind.json(text, held.id))
            }
            Ask::Key { table, key, fields } => {
                let mut found = Vec::new();
                for row in 0..self.rows[table].len() {
                    let mut same = true;
                    for (column, value) in key {
                        let eq = Part::Column(*column, "eq", vec![value.clone()]);
                        same &= Box::pin(self.part(*table, &eq, row)).await == Some(true);
                    }
                    found.extend(same.then_some(row));
                }
                assert!(found.len() < 2, "a key is unique");
                match found.first() {
                    Some(row) => self.object(*table, *row, fields).await,
                    None => "null".to_owned(),
                }
            }
            Ask::One { link, forward, fields } => {
                let (other, rows) = self.linked(*link, *forward, row);
                assert!(rows.len() < 2, "one row at the other end");
                match rows.first() {
                    Some(row) => self.object(other, *row, fields).await,
                    None => "null".to_owned(),
                }
            }
            Ask::Own => quoted(self.row(table, row).last().unwrap().as_deref().unwrap()),
            Ask::Many { table: id, link, placed, window, fields } => {
                let rows = match link {
                    Some(link) => self.linked(*link, false, row).1,
                    None => (0..self.rows[id].len()).collect(),
                };
                let mut out = Vec::new();
                for row in self.cut(*id, rows, window, *placed).await {
                    out.push(self.object(*id, row, fields).await);
                }
                format!("[{}]", out.join(","))
            }
            Ask::Aggregate { table: id, link, filter, measures } => {
                let rows = match link {
                    Some(link) => self.linked(*link, false, row).1,
                    None => (0..self.rows[id].len()).collect(),
                };
                let rows = self.filtered(*id, rows, filter).await;
                self.aggregate(*id, &rows, measures).await
            }
        }
    }

    async fn object(&mut self, table: usize, row: usize, fields: &[(String, Ask)]) -> String {
        let mut out = Vec::new();
        for (key, ask) in fields {
            out.push(format!("{}:{}", quoted(key), Box::pin(self.ask(ask, table, row)).await));
        }
        format!("{{{}}}", out.join(","))
    }

    /// The rows at the other end of a foreign key, and of which table.
    fn linked(&self, link: usize, forward: bool, row: usize) -> (usize, Vec<usize>) {
        let Link { from, to, on, .. } = &self.world.links[link];
        let (here, there) = if forward { (*from, *to) } else { (*to, *from) };
        let ours = self.row(here, row);
        let same = |theirs: &Row| {
            on.iter().all(|(refers, referred)| {
                let (ours, theirs) = if forward {
                    (&ours[*refers], &theirs[*referred])
                } else {
                    (&ours[*referred], &theirs[*refers])
                };
                ours.is_some() && ours == theirs
            })
        };
        let found = self.rows[&there].iter().enumerate().filter(|(_, theirs)| same(theirs));
        (there, found.map(|(place, _)| place).collect())
    }

    async fn filtered(&mut self, table: usize, rows: Vec<usize>, filter: &Filter) -> Vec<usize> {
        let mut out = Vec::new();
        for row in rows {
            if self.holds(table, filter, row).await == Some(true) {
                out.push(row);
            }
        }
        out
    }

    async fn cut(&mut self, table: usize, rows: Vec<usize>, window: &Window, placed: bool) -> Vec<usize> {
        let rows = self.filtered(table, rows, &window.filter).await;
        let key =
            self.world.tables[table].key.iter().filter(|_| !placed).map(|column| (*column, false, None));
        let mut keyed: Vec<(Vec<Ordered>, usize)> = rows.into_iter().map(|row| (Vec::new(), row)).collect();
        for (column, descending, nulls) in window.order.iter().copied().chain(key) {
            let ranks = self.ranks(table, column).await;
            for (keys, row) in &mut keyed {
                let nulls_first = nulls.unwrap_or(descending);
                keys.push(Ordered { rank: ranks[*row], descending, nulls_first });
            }
        }
        keyed.sort();
        let rows = keyed.into_iter().map(|(_, row)| row).skip(window.offset);
        rows.take(window.limit.unwrap_or(usize::MAX)).collect()
    }

    async fn ranks(&mut self, table: usize, column: usize) -> Vec<Option<usize>> {
        if !self.ranks.contains_key(&(table, column)) {
            let name = &self.world.tables[table].columns[column].sql;
            let sql = format!("case when {name} is not null then dense_rank() over (order by {name}) end");
            let ranks = self.select(table, &sql).await;
            let ranks = ranks.into_iter().map(|row| row[0].as_deref().map(|rank| rank.parse().unwrap()));
            self.ranks.insert((table, column), ranks.collect());
        }
        self.ranks[&(table, column)].clone()
    }

    /// All parts, three-valued.
    async fn holds(&mut self, table: usize, filter: &Filter, row: usize) -> Option<bool> {
        let mut all = Some(true);
        for part in filter {
            let one = Box::pin(self.part(table, part, row)).await;
            all = and(all, one);
        }
        all
    }

    async fn part(&mut self, table: usize, part: &Part, row: usize) -> Option<bool> {
        match part {
            Part::And(filters) => {
                let mut all = Some(true);
                for filter in filters {
                    all = and(all, self.holds(table, filter, row).await);
                }
                all
            }
            Part::Or(filters) => {
                let mut none = Some(true);
                for filter in filters {
                    none = and(none, self.holds(table, filter, row).await.map(|holds| !holds));
                }
                none.map(|none| !none)
            }
            Part::Not(filter) => self.holds(table, filter, row).await.map(|holds| !holds),
            Part::Exists(link, forward, filter) => {
                let (other, rows) = self.linked(*link, *forward, row);
                Some(!self.filtered(other, rows, filter).await.is_empty())
            }
            Part::Column(column, operator, operands) => {
                let sql = condition(&self.world.tables[table].columns[*column], operator, operands);
                let place = format!("{table} {sql}");
                if !self.conditions.contains_key(&place) {
                    let rows = self.select(table, &sql).await;
                    let holds = rows.into_iter().map(|row| row[0].as_deref().map(|text| text == "t"));
                    self.conditions.insert(place.clone(), holds.collect());
                }
                self.conditions[&place][row]
            }
        }
    }

    async fn aggregate(&mut self, table: usize, rows: &[usize], measures: &[(String, Measure)]) -> String {
        let mut out = Vec::new();
        for (key, measure) in measures {
            let value = match measure {
                Measure::Typename(name) => quoted(name),
                Measure::Count => rows.len().to_string(),
                Measure::Of(operation, columns) => {
                    let mut inner = Vec::new();
                    for (key, column) in columns {
                        let value = self.measured(table, rows, operation, *column).await;
                        inner.push(format!("{}:{value}", quoted(key)));
                    }
                    format!("{{{}}}", inner.join(","))
                }
            };
            out.push(format!("{}:{value}", quoted(key)));
        }
        format!("{{{}}}", out.join(","))
    }

    async fn measured(&self, table: usize, rows: &[usize], operation: &str, column: usize) -> String {
        let held = &self.world.tables[table];
        let source = &self.world.tables[held.view_of.unwrap_or(table)].sql;
        let column = &held.columns[column];
        let places: Vec<_> = rows.iter().map(ToString::to_string).collect();
        let sql = format!(
            "select {operation}(x)::text from (select {} as x, row_number() over (order by ctid) - 1 as n from {source}) s \
             where n = any('{{{}}}')",
            column.sql,
            places.join(",")
        );
        let text = self.texts(&sql).await[0][0].clone();
        let form = if ["min", "max"].contains(&operation) { column.kind.form } else { summed(column.kind) };
        text.map_or("null".to_owned(), |text| json(form, &text))
    }
}

fn summed(kind: &Kind) -> Form {
    kind.sum.unwrap()
}

/// A column as text; of booleans the protocol has another one than `::text`.
fn text_of(column: &Column) -> String {
    format!("{}::text", column.sql)
}

fn condition(column: &Column, operator: &str, operands: &[String]) -> String {
    let name = &column.sql;
    let cast = column.kind.cast;
    let literals: Vec<_> = operands.iter().map(|text| format!("{}::{cast}", escape_literal(text))).collect();
    let text = || escape_literal(&operands[0]);
    match operator {
        "is" => format!("{name} is {}", operands[0].replace('_', " ")),
        "in" => format!("{name} = any(array[{}]::{cast}[])", literals.join(", ")),
        "eq" => format!("{name} = {}", literals[0]),
        "neq" => format!("{name} <> {}", literals[0]),
        "gt" => format!("{name} > {}", literals[0]),
        "gte" => format!("{name} >= {}", literals[0]),
        "lt" => format!("{name} < {}", literals[0]),
        "lte" => format!("{name} <= {}", literals[0]),
        "contains" => format!("{name} @> {}", literals[0]),
        "like" => format!("{name} like {}", text()),
        "ilike" => format!("{name} ilike {}", text()),
        "startsWith" => format!("starts_with({name}::text, {})", text()),
        "regex" => format!("{name} ~ {}", text()),
        other => panic!("{other}"),
    }
}

fn and(one: Option<bool>, other: Option<bool>) -> Option<bool> {
    match (one, other) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    }
}

#[derive(PartialEq, Eq)]
struct Ordered {
    rank: Option<usize>,
    descending: bool,
    nulls_first: bool,
}

impl PartialOrd for Ordered {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ordered {
    fn cmp(&self, other: &Self) -> Ordering {
        let nulls = |first: bool| if first { Ordering::Less } else { Ordering::Greater };
        match (self.rank, other.rank) {
            (None, None) => Ordering::Equal,
            (None, _) => nulls(self.nulls_first),
            (_, None) => nulls(self.nulls_first).reverse(),
            (Some(one), Some(two)) if self.descending => two.cmp(&one),
            (Some(one), Some(two)) => one.cmp(&two),
        }
    }
}
