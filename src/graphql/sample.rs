//! Small catalogs for tests, written as one would write the SQL.

use super::catalog::{
    Argument, Called, Catalog, Column, ForeignKey, Function, Oid, Publication, Reading, Relation,
    RelationKind, Source, SourceKind, Type, TypeKind, Volatility,
};

/// Built-in types: name, what SQL calls it, oid, and whether its values have an order and an `=`.
const BUILTIN: [(&str, &str, Oid, bool, bool); 23] = [
    ("bool", "boolean", 16, true, true),
    ("bytea", "bytea", 17, true, true),
    ("int8", "bigint", 20, true, true),
    ("int2", "smallint", 21, true, true),
    ("int4", "integer", 23, true, true),
    ("text", "text", 25, true, true),
    ("json", "json", 114, false, false),
    ("xml", "xml", 142, false, false),
    ("point", "point", 600, false, false),
    ("float4", "real", 700, true, true),
    ("float8", "double precision", 701, true, true),
    ("inet", "inet", 869, true, true),
    ("varchar", "character varying", 1043, true, true),
    ("date", "date", 1082, true, true),
    ("time", "time without time zone", 1083, true, true),
    ("timestamp", "timestamp without time zone", 1114, true, true),
    ("timestamptz", "timestamp with time zone", 1184, true, true),
    ("interval", "interval", 1186, true, true),
    ("timetz", "time with time zone", 1266, true, true),
    ("numeric", "numeric", 1700, true, true),
    ("uuid", "uuid", 2950, true, true),
    ("jsonb", "jsonb", 3802, true, true),
    ("int4range", "int4range", 3904, true, true),
];

/// A catalog that grows. Names are `schema.name`; types are built-in ones, or `schema.name`, with `[]` for
/// arrays. What comes later may refer to what came before.
#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) catalog: Catalog,
    next: Oid,
}

impl Default for Sample {
    /// Nothing but a publication, of all tables.
    fn default() -> Self {
        let publication = Publication { sql: "walcast".to_owned(), lacks: Vec::new() };
        Self { catalog: Catalog { publication: Some(publication), ..Catalog::default() }, next: 0 }
    }
}

fn split(name: &str) -> (String, String) {
    let (schema, name) = name.split_once('.').unwrap();
    (schema.to_owned(), name.to_owned())
}

impl Sample {
    fn oid(&mut self) -> Oid {
        self.next += 1;
        100_000 + self.next
    }

    /// The type of this name.
    pub(crate) fn kind(&mut self, name: &str) -> Oid {
        if let Some(element) = name.strip_suffix("[]") {
            let of = self.kind(element);
            let array = self.catalog.types.iter().find(|kind| kind.kind == TypeKind::Array(of));
            if let Some(array) = array {
                return array.oid;
            }
            let element = self.catalog.types.iter().find(|kind| kind.oid == of).unwrap().clone();
            let name = format!("{}._{}", element.schema, element.name);
            let sql = format!("{}[]", element.sql);
            return self.add_type(&name, &sql, TypeKind::Array(of), element.ordered, element.comparable);
        }
        let (schema, local) = name.split_once('.').unwrap_or(("pg_catalog", name));
        if let Some(kind) = self.catalog.types.iter().find(|kind| kind.schema == schema && kind.name == local)
        {
            return kind.oid;
        }
        let builtin = BUILTIN.iter().find(|(builtin, ..)| *builtin == name);
        let Some((_, sql, oid, ordered, comparable)) = builtin else { panic!("there is no type {name}") };
        self.add_type(&format!("pg_catalog.{name}"), sql, TypeKind::Base, *ordered, *comparable);
        self.catalog.types.last_mut().unwrap().oid = *oid;
        *oid
    }

    fn add_type(&mut self, name: &str, sql: &str, kind: TypeKind, ordered: bool, comparable: bool) -> Oid {
        let oid = self.oid();
        let (schema, name) = split(name);
        let sql = sql.to_owned();
        self.catalog.types.push(Type { oid, schema, name, sql, kind, ordered, comparable, comment: None });
        oid
    }

    /// A type that is no built-in one.
    pub(crate) fn base(&mut self, name: &str) -> &mut Self {
        self.add_type(name, name, TypeKind::Base, true, true);
        self
    }

    /// An enum.
    pub(crate) fn labels(&mut self, name: &str, labels: &[&str]) -> &mut Self {
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        self.add_type(name, name, TypeKind::Enum(labels), true, true);
        self
    }

    /// A domain.
    pub(crate) fn domain(&mut self, name: &str, base: &str) -> &mut Self {
        let base = self.kind(base);
        self.add_type(name, name, TypeKind::Domain { base, not_null: false }, false, false);
        self
    }

    fn relation(&mut self, name: &str, kind: RelationKind, columns: &[&str]) -> &mut Self {
        let (oid, (schema, local)) = (self.oid(), split(name));
        let row_type = self.add_type(name, name, TypeKind::Composite(oid), true, true);
        let columns = columns
            .iter()
            .zip(1..)
            .map(|(column, number)| {
                let (column, not_null) =
                    column.strip_suffix('!').map_or((*column, false), |rest| (rest, true));
                let (name, kind) = column.rsplit_once(' ').unwrap();
                Column { number, name: name.to_owned(), kind: self.kind(kind), not_null, comment: None }
            })
            .collect();
        self.catalog.relations.push(Relation {
            oid,
            row_type,
            schema,
            name: local,
            kind,
            row_security: false,
            comment: None,
            columns,
            primary_key: Vec::new(),
            unique_keys: Vec::new(),
            reads: Reading::default(),
        });
        self
    }

    fn source(&mut self) {
        let relation = self.catalog.relations.last().unwrap();
        self.catalog.sources.push(Source {
            oid: relation.oid,
            schema: relation.schema.clone(),
            name: relation.name.clone(),
            sql: format!("{}.{}", relation.schema, relation.name),
            kind: SourceKind::Table,
            logged: true,
            partition: false,
            columns: relation.columns.iter().map(|column| column.name.clone()).collect(),
            heirs: Vec::new(),
            published: Some(relation.oid),
            filtered: false,
            secured: false,
            loose: None,
            policies: Reading::default(),
        });
    }

    /// A table, its columns as `name type`, with `!` for NOT NULL. Its primary key is a column called `id`.
    pub(crate) fn table(&mut self, name: &str, columns: &[&str]) -> &mut Self {
        self.relation(name, RelationKind::Table, columns);
        self.source();
        let table = self.catalog.relations.last_mut().unwrap();
        table.primary_key =
            table.columns.iter().filter(|column| column.name == "id").map(|column| column.number).collect();
        self
    }

    /// A view of these tables.
    pub(crate) fn view(&mut self, name: &str, columns: &[&str], reads: &[&str]) -> &mut Self {
        let tables = reads.iter().map(|table| self.find(table).oid).collect();
        self.relation(name, RelationKind::View, columns);
        self.catalog.relations.last_mut().unwrap().reads = Reading { tables, ..Reading::default() };
        self
    }

    /// A composite type.
    pub(crate) fn composite(&mut self, name: &str, columns: &[&str]) -> &mut Self {
        self.relation(name, RelationKind::CompositeType, columns)
    }

    /// The relation of this name.
    pub(crate) fn find(&mut self, name: &str) -> &mut Relation {
        let (schema, name) = split(name);
        let mut relations = self.catalog.relations.iter_mut();
        relations.find(|relation| relation.schema == schema && relation.name == name).unwrap()
    }

    fn numbers(&mut self, relation: &str, columns: &str) -> Vec<i16> {
        let relation = self.find(relation);
        let number = |name: &str| relation.columns.iter().find(|column| column.name == name).unwrap().number;
        columns.split(", ").map(number).collect()
    }

    /// `PRIMARY KEY (..)`
    pub(crate) fn key(&mut self, relation: &str, columns: &str) -> &mut Self {
        self.find(relation).primary_key = self.numbers(relation, columns);
        self
    }

    /// `UNIQUE (..)`
    pub(crate) fn unique(&mut self, relation: &str, columns: &str) -> &mut Self {
        let key = self.numbers(relation, columns);
        self.find(relation).unique_keys.push(key);
        self
    }

    /// A foreign key to the primary key, called `<table>_<columns>_fkey`.
    pub(crate) fn refers(&mut self, relation: &str, columns: &str, target: &str) -> &mut Self {
        let name = format!("{}_{}_fkey", split(relation).1, columns.replace(", ", "_"));
        let key = ForeignKey {
            name,
            columns: self.numbers(relation, columns),
            target_columns: self.find(target).primary_key.clone(),
            target: self.find(target).oid,
            relation: self.find(relation).oid,
            comment: None,
        };
        self.catalog.foreign_keys.push(key);
        self
    }

    /// A STABLE function, its arguments as `name type`, with `?` for a default; `void` and `setof ..` are known.
    pub(crate) fn function(&mut self, name: &str, arguments: &[&str], returns: &str) -> &mut Self {
        let arguments = arguments
            .iter()
            .map(|argument| {
                let (argument, has_default) =
                    argument.strip_suffix('?').map_or((*argument, false), |rest| (rest, true));
                let (name, kind) = argument.rsplit_once(' ').unwrap_or(("", argument));
                let name = (!name.is_empty()).then(|| name.to_owned());
                Argument { name, kind: self.kind(kind), has_default }
            })
            .collect();
        let (returns, returns_set) = returns.strip_prefix("setof ").map_or((returns, false), |of| (of, true));
        let returns = (returns != "void").then(|| self.kind(returns));
        let (oid, (schema, local)) = (self.oid(), split(name));
        let sql = name.to_owned();
        let called = Called { oid, schema: schema.clone(), name: local.clone(), sql, comment: None };
        self.catalog.called.push(called);
        self.catalog.functions.push(Function {
            oid,
            schema,
            name: local,
            volatility: Volatility::Stable,
            strict: false,
            arguments,
            returns,
            returns_set,
            comment: None,
            reads: Reading { calls: vec![oid], ..Reading::default() },
        });
        self
    }

    /// The same, VOLATILE.
    pub(crate) fn procedure(&mut self, name: &str, arguments: &[&str], returns: &str) -> &mut Self {
        self.function(name, arguments, returns).last_function().volatility = Volatility::Volatile;
        self
    }

    /// The function that came last.
    pub(crate) fn last_function(&mut self) -> &mut Function {
        self.catalog.functions.last_mut().unwrap()
    }

    /// `COMMENT ON` a relation, or a column of it.
    pub(crate) fn comment(&mut self, on: &str, comment: &str) -> &mut Self {
        let mut parts = on.split('.');
        let relation = format!("{}.{}", parts.next().unwrap(), parts.next().unwrap());
        let relation = self.find(&relation);
        let slot = match parts.next() {
            None => &mut relation.comment,
            Some(name) => {
                &mut relation.columns.iter_mut().find(|column| column.name == name).unwrap().comment
            }
        };
        *slot = Some(comment.to_owned());
        self
    }

    /// The demo's schema.
    pub(crate) fn demo() -> Self {
        let mut sample = Self::default();
        sample
            .table(
                "public.users",
                &[
                    "id int8!",
                    "name text!",
                    "email text",
                    "inserted_at timestamptz!",
                    "profile jsonb!",
                    "tags text[]!",
                    "balance numeric!",
                ],
            )
            .table("public.auctions", &["id int8!", "title text!"])
            .table("public.bids", &["id int8!", "amount int4!", "auction_id int8!"])
            .refers("public.bids", "auction_id", "public.auctions")
            .table("public.messages", &["id int8!", "room_id int8!", "from text!", "body text!"])
            .comment("public.messages", "@walcast subscription newMessage on insert (room_id)")
            .function("public.highest_bid", &["auction public.auctions"], "public.bids");
        sample.last_function().comment = Some("@walcast depends_on bids(auction_id = id)".to_owned());
        sample.procedure("public.bid", &["auction_id int8", "amount int4"], "public.bids").procedure(
            "public.send_message",
            &["room_id int8", "from text", "body text"],
            "public.messages",
        );
        sample
    }
}
