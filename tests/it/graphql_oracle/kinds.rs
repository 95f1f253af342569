//! Types of columns, their values, and how a value is written in SQL, in GraphQL and in JSON.

/// A type of a column.
#[derive(Debug)]
pub struct Kind {
    /// As a column is declared.
    pub sql: &'static str,
    /// What a literal is cast to: the type without its length, which would cut.
    pub cast: &'static str,
    /// The GraphQL type.
    pub graphql: &'static str,
    pub form: Form,
    /// It has `gt` and its like, and an order.
    pub ordered: bool,
    /// It has `eq`.
    pub comparable: bool,
    /// It has `min` and `max`.
    pub extremes: bool,
    /// It has a sum that is the same in every order, and what that is.
    pub sum: Option<Form>,
    /// Values as Postgres reads them.
    pub values: &'static [&'static str],
}

/// How JSON is made of a text of Postgres.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As it is.
    Plain,
    Boolean,
    Quoted,
    Timestamp,
    Enum,
    /// A list of what has this form.
    List(Element),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    Plain,
    Quoted,
    Timestamp,
    Enum,
}

/// The labels of the enum with their values in GraphQL.
pub const LABELS: [(&str, &str); 6] = [
    ("sad", "sad"),
    ("so-so", "so_so"),
    ("it's", "it_s"),
    ("1st", "_1st"),
    ("a\"b\\", "a_b_"),
    ("Über", "_ber"),
];

const fn kind(sql: &'static str, graphql: &'static str, form: Form, values: &'static [&'static str]) -> Kind {
    let extremes = !matches!(form, Form::Boolean | Form::List(_));
    Kind { sql, cast: sql, graphql, form, ordered: true, comparable: true, extremes, sum: None, values }
}

/// A type that is served as its text.
const fn text(sql: &'static str, graphql: &'static str, values: &'static [&'static str]) -> Kind {
    Kind { extremes: false, ..kind(sql, graphql, Form::Quoted, values) }
}

const fn list(
    sql: &'static str,
    graphql: &'static str,
    of: Element,
    values: &'static [&'static str],
) -> Kind {
    Kind { ordered: false, ..kind(sql, graphql, Form::List(of), values) }
}

/// Those that keys are made of; their text is the same for equal values.
pub const KEYS: usize = 7;

pub const KINDS: [Kind; 41] = [
    Kind {
        sum: Some(Form::Quoted),
        ..kind("int4", "Int", Form::Plain, &["0", "1", "-1", "7", "12", "2147483647", "-2147483648"])
    },
    Kind {
        sum: Some(Form::Quoted),
        ..kind(
            "int8",
            "BigInt",
            Form::Quoted,
            &["0", "42", "9007199254740993", "-9223372036854775808", "9223372036854775807"],
        )
    },
    text(
        "uuid",
        "UUID",
        &[
            "00000000-0000-0000-0000-000000000000",
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
            "ffffffff-ffff-ffff-ffff-ffffffffffff",
        ],
    ),
    kind("text", "String", Form::Quoted, TEXTS),
    Kind {
        cast: "varchar",
        ..kind("varchar(20)", "String", Form::Quoted, &["", "x", "X y", "it's", "a\\", "\"", "ünï"])
    },
    kind("date", "Date", Form::Quoted, &["2024-02-29", "0044-03-15 BC", "infinity", "1970-01-01"]),
    kind("mood", "Mood", Form::Enum, &["sad", "so-so", "it's", "1st", "a\"b\\", "Über"]),
    Kind { sum: Some(Form::Quoted), ..kind("int2", "Int", Form::Plain, &["0", "3", "-32768", "32767"]) },
    Kind {
        sum: Some(Form::Quoted),
        ..kind(
            "numeric",
            "BigDecimal",
            Form::Quoted,
            &["0", "1.50", "1.5", "-0.001", "12345678901234567890.123456789", "NaN"],
        )
    },
    Kind {
        cast: "numeric",
        sum: Some(Form::Quoted),
        ..kind("numeric(6,2)", "BigDecimal", Form::Quoted, &["0", "12.3", "-1.25", "9999.99"])
    },
    kind("float8", "Float", Form::Plain, &["0", "1.5", "0.1", "-1e+300", "5e-324", "1e-05", "-0"]),
    Kind { sum: Some(Form::Plain), ..kind("float4", "Float", Form::Plain, &["0", "0.5", "-0.25", "1024"]) },
    kind("bool", "Boolean", Form::Boolean, &["true", "false"]),
    Kind { cast: "bpchar", ..kind("char(3)", "String", Form::Quoted, &["abc", "a", "", "ü'\""]) },
    kind("\"char\"", "String", Form::Quoted, &["a", "z", "'"]),
    kind("name", "String", Form::Quoted, &["n", "N m", "select"]),
    kind("word", "String", Form::Quoted, &["w", "W", "w\\w", "%"]),
    kind(
        "timestamptz",
        "DateTime",
        Form::Timestamp,
        &[
            "2024-01-02 03:04:05.678901+00",
            "infinity",
            "-infinity",
            "0001-01-01 00:00:00+00 BC",
            "1999-12-31 23:59:59+00",
        ],
    ),
    kind(
        "timestamp",
        "LocalDateTime",
        Form::Timestamp,
        &["2024-01-02 03:04:05.6", "infinity", "0099-01-01 00:00:00", "10000-01-01 00:00:00"],
    ),
    kind("time", "LocalTime", Form::Quoted, &["00:00:00", "24:00:00", "12:30:00.5"]),
    kind("timetz", "Time", Form::Quoted, &["00:00:00+00", "23:59:59.999999-13"]),
    kind("interval", "Interval", Form::Quoted, &["1 day", "-1 mons +2 days", "00:00:00.000001", "0"]),
    text("inet", "Inet", &["10.0.0.1", "10.0.0.0/8", "::1"]),
    text("cidr", "Cidr", &["10.0.0.0/8", "::/0"]),
    text("macaddr", "Macaddr", &["08:00:2b:01:02:03"]),
    text("int4range", "Int4range", &["empty", "[1,5)", "(,)", "[3,)"]),
    text("bytea", "Bytea", &["\\x", "\\x00ff", "\\x5c27"]),
    Kind { cast: "varbit", ..text("bit(3)", "Bit", &["101", "000"]) },
    text("varbit", "Varbit", &["", "1", "10101"]),
    text("oid", "Oid", &["0", "4294967295"]),
    text("pg_lsn", "PgLsn", &["0/0", "16/B374D848"]),
    text("tsvector", "Tsvector", &["", "'a':1 'it''s':2"]),
    Kind { ordered: false, comparable: false, ..text("point", "Point", &["(1,2)", "(-0.5,1e+300)"]) },
    Kind { ordered: false, ..text("xid", "Xid", &["0", "77"]) },
    Kind { ordered: false, comparable: false, extremes: false, ..kind("json", "JSON", Form::Plain, JSONS) },
    Kind { ordered: false, comparable: false, extremes: false, ..kind("jsonb", "JSON", Form::Plain, JSONS) },
    list("int4[]", "[Int]", Element::Plain, &["{}", "{1}", "{1,NULL,3}", "[0:1]={5,6}"]),
    list(
        "text[]",
        "[String]",
        Element::Quoted,
        &["{}", "{a}", "{\"\",NULL,\"NULL\",\"q\\\"\\\\ ,{}\"}", "{\"it's\"}"],
    ),
    list("mood[]", "[Mood]", Element::Enum, &["{}", "{sad,so-so}", "{\"a\\\"b\\\\\",NULL,it's}"]),
    list(
        "timestamptz[]",
        "[DateTime]",
        Element::Timestamp,
        &["{}", "{infinity,NULL,\"2024-01-02 03:04:05+00\"}"],
    ),
    list("word[]", "[String]", Element::Quoted, &["{}", "{w,\"\"}", "{NULL}"]),
];

const TEXTS: &[&str] = &[
    "",
    "a",
    "A",
    "ä",
    "it's",
    "qu\"ote",
    "back\\slash\\",
    "tab\tnew\nline\r",
    "\u{1}\u{2}\u{3}\u{4}\u{8}\u{c}\u{1f}\u{7f}",
    "100%_",
    "null",
    "𝄞 日本\u{feff}\u{2028}",
    "{\"a\":[1,\u{1}]}",
    "$1",
    " '; drop table lamps; --",
];

const JSONS: &[&str] = &[
    "null",
    "{}",
    "{\"a\": [1, 2.50, \"\\u0041\\n\"], \"\": null}",
    "\"te\\\"xt\"",
    "12345678901234567890.0",
    "[ 1 ,\n\t{\"b\" :true}]",
];

/// A value in a document or in the JSON of variables.
#[derive(Clone, Debug)]
pub enum Literal {
    /// A number or boolean.
    Bare(String),
    Text(String),
    /// An enum's value.
    Word(String),
    List(Vec<Literal>),
    Object(Vec<(String, Literal)>),
    /// In documents only.
    Variable(String),
}

impl Literal {
    /// As GraphQL writes it.
    pub fn graphql(&self) -> String {
        match self {
            Self::Bare(text) | Self::Word(text) => text.clone(),
            Self::Text(text) => quoted(text),
            Self::Variable(name) => format!("${name}"),
            Self::List(items) => {
                format!("[{}]", items.iter().map(Self::graphql).collect::<Vec<_>>().join(" "))
            }
            Self::Object(fields) => {
                let fields: Vec<_> =
                    fields.iter().map(|(name, value)| format!("{name}: {}", value.graphql())).collect();
                format!("{{{}}}", fields.join(", "))
            }
        }
    }

    /// As JSON has it.
    pub fn json(&self) -> String {
        match self {
            Self::Bare(text) => text.clone(),
            Self::Text(text) | Self::Word(text) => quoted(text),
            Self::Variable(name) => panic!("${name} in JSON"),
            Self::List(items) => format!("[{}]", items.iter().map(Self::json).collect::<Vec<_>>().join(",")),
            Self::Object(fields) => {
                let fields: Vec<_> =
                    fields.iter().map(|(name, value)| format!("{}:{}", quoted(name), value.json())).collect();
                format!("{{{}}}", fields.join(","))
            }
        }
    }
}

/// A string of JSON, which is one of GraphQL, too.
pub fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

impl Kind {
    /// A value given to a field; `id` if the column identifies rows.
    pub fn literal(&self, text: &str, id: bool) -> Literal {
        if id {
            return Literal::Text(text.to_owned());
        }
        match self.form {
            Form::List(of) => {
                Literal::List(elements(text).iter().flatten().map(|text| one(of, text)).collect())
            }
            Form::Plain | Form::Boolean => one(Element::Plain, text),
            Form::Enum => one(Element::Enum, text),
            Form::Quoted | Form::Timestamp => one(Element::Quoted, text),
        }
    }

    /// The JSON of a text that Postgres wrote.
    pub fn json(&self, text: &str, id: bool) -> String {
        if id { quoted(text) } else { json(self.form, text) }
    }

    /// The GraphQL type of a value given.
    pub fn input(&self, id: bool) -> String {
        if id { "ID".to_owned() } else { self.graphql.replace(']', "!]") }
    }

    /// It has `like` and its like.
    pub fn is_text(&self) -> bool {
        self.graphql == "String"
    }
}

fn one(of: Element, text: &str) -> Literal {
    match of {
        Element::Plain => Literal::Bare(text.to_owned()),
        Element::Quoted | Element::Timestamp => Literal::Text(text.to_owned()),
        Element::Enum => Literal::Word(value_of(text).to_owned()),
    }
}

fn value_of(label: &str) -> &'static str {
    LABELS.iter().find(|(known, _)| *known == label).unwrap().1
}

/// The JSON of a text that Postgres wrote.
pub fn json(form: Form, text: &str) -> String {
    match form {
        Form::Plain | Form::Boolean => text.to_owned(),
        Form::Quoted => quoted(text),
        Form::Enum => quoted(value_of(text)),
        Form::Timestamp => {
            let (text, era) = text.strip_suffix(" BC").map_or((text, ""), |text| (text, " BC"));
            let zone = if text.ends_with("+00") { ":00" } else { "" };
            quoted(&format!("{}{zone}{era}", text.replacen(' ', "T", 1)))
        }
        Form::List(of) => {
            let form = match of {
                Element::Plain => Form::Plain,
                Element::Quoted => Form::Quoted,
                Element::Timestamp => Form::Timestamp,
                Element::Enum => Form::Enum,
            };
            let each =
                elements(text).into_iter().map(|one| one.map_or("null".to_owned(), |one| json(form, &one)));
            format!("[{}]", each.collect::<Vec<_>>().join(","))
        }
    }
}

/// The elements of an array of one dimension (Postgres manual, 8.15.6).
fn elements(text: &str) -> Vec<Option<String>> {
    let text = text.split_once('=').filter(|_| text.starts_with('[')).map_or(text, |(_, rest)| rest);
    let mut characters = text.strip_prefix('{').unwrap().strip_suffix('}').unwrap().chars().peekable();
    let mut all = Vec::new();
    while characters.peek().is_some() {
        let (mut one, mut in_quotes, mut was_quoted) = (String::new(), false, false);
        while let Some(character) = characters.next() {
            match character {
                '\\' => one.extend(characters.next()),
                '"' => (in_quotes, was_quoted) = (!in_quotes, true),
                ',' if !in_quotes => break,
                other => one.push(other),
            }
        }
        all.push((was_quoted || one != "NULL").then_some(one));
    }
    all
}
