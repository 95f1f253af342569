//! Properties over every shape: random bytes, and values written by an encoder of the test's own.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio_postgres::types::Type;

use super::{Profile, write_value};
use crate::change::types::{Attribute, TypeInfo, builtin};

/// A type of which values can be made up.
#[derive(Clone, Debug)]
enum Kind {
    Text,
    Number,
    Document,
    Hstore,
    Array(Box<Kind>, u8),
    Composite(Vec<(String, Kind)>),
}

/// A value's Postgres text and the JSON it should become; none is NULL.
type Sample = Option<(String, Value)>;

impl Kind {
    fn info(&self) -> Arc<TypeInfo> {
        match self {
            Self::Text => builtin(Type::TEXT.oid()).unwrap(),
            Self::Number => builtin(Type::INT8.oid()).unwrap(),
            Self::Document => builtin(Type::JSONB.oid()).unwrap(),
            Self::Hstore => TypeInfo::hstore(),
            Self::Array(element, delimiter) => TypeInfo::array("_made_up", element.info(), *delimiter),
            Self::Composite(fields) => TypeInfo::composite(
                "made_up",
                fields.iter().map(|(name, kind)| Attribute::new(name, kind.info())).collect(),
            ),
        }
    }

    fn sample(&self) -> BoxedStrategy<Sample> {
        let value = match self {
            Self::Text => nasty().prop_map(|text| (text.clone(), json!(text))).boxed(),
            Self::Number => any::<i64>().prop_map(|n| (n.to_string(), json!(n))).boxed(),
            Self::Document => vec(nasty(), 0..3)
                .prop_map(|texts| json!({ "texts": texts, "nested": [[], {}] }))
                .prop_map(|value| (value.to_string(), value))
                .boxed(),
            Self::Hstore => btree_map(nasty(), proptest::option::of(nasty()), 0..4)
                .prop_map(|pairs| (hstore_text(&pairs), json!(pairs)))
                .boxed(),
            Self::Array(element, delimiter) => array_sample(element, *delimiter),
            Self::Composite(fields) => {
                let names: Vec<_> = fields.iter().map(|(name, _)| name.clone()).collect();
                let samples: Vec<_> = fields.iter().map(|(_, kind)| kind.sample()).collect();
                samples.prop_map(move |fields| composite_sample(&names, &fields)).boxed()
            }
        };
        prop_oneof![1 => Just(None), 7 => value.prop_map(Some)].boxed()
    }
}

/// Texts of everything that some dialect treats specially.
fn nasty() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[\"\\\\,;{}()\\[\\]=>: \t\n\r\u{1}\u{b}'a0]{0,4}",
        Just("NULL".to_owned()),
        Just("null".to_owned()),
        "[a-z]{0,20}",
        any::<char>().prop_filter("Postgres text has no NUL", |&c| c != '\0').prop_map(String::from),
    ];
    vec(piece, 0..4).prop_map(|pieces| pieces.concat())
}

fn kind() -> impl Strategy<Value = Kind> {
    let leaf = prop_oneof![Just(Kind::Text), Just(Kind::Number), Just(Kind::Document), Just(Kind::Hstore)];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let fields = vec((nasty(), inner.clone()), 0..4).prop_map(|fields| {
            let numbered = fields.into_iter().enumerate();
            Kind::Composite(numbered.map(|(n, (name, kind))| (format!("{name}{n}"), kind)).collect())
        });
        prop_oneof![
            (inner, prop_oneof![Just(b','), Just(b';')])
                .prop_map(|(kind, by)| Kind::Array(Box::new(kind), by)),
            fields,
        ]
    })
}

fn array_sample(element: &Kind, delimiter: u8) -> BoxedStrategy<(String, Value)> {
    let element = element.sample();
    (vec((1..3_usize, any::<i16>()), 1..4), any::<bool>())
        .prop_flat_map(move |(dimensions, bounds)| {
            let length = dimensions.iter().map(|(length, _)| length).product::<usize>();
            (Just(dimensions), Just(bounds), vec(element.clone(), length))
        })
        .prop_map(move |(dimensions, bounds, elements)| {
            let lengths: Vec<_> = dimensions.iter().map(|(length, _)| *length).collect();
            let (body, value) = array_body(&lengths, &elements, char::from(delimiter));
            let mut text = String::new();
            if bounds {
                for (length, lower) in &dimensions {
                    let upper = i64::from(*lower) + i64::try_from(*length).unwrap() - 1;
                    write!(text, "[{lower}:{upper}]").unwrap();
                }
                text.push('=');
            }
            (text + &body, value)
        })
        .boxed()
}

fn array_body(lengths: &[usize], elements: &[Sample], delimiter: char) -> (String, Value) {
    let Some((_, inner)) = lengths.split_first() else {
        return match &elements[0] {
            None => ("NULL".to_owned(), Value::Null),
            Some((text, value)) => (array_element(text, delimiter), value.clone()),
        };
    };
    let parts = elements.chunks(inner.iter().product());
    let (texts, values): (Vec<_>, Vec<_>) = parts.map(|part| array_body(inner, part, delimiter)).unzip();
    (format!("{{{}}}", texts.join(&delimiter.to_string())), Value::Array(values))
}

/// As `array_out`: quotes where the reader would stumble.
fn array_element(text: &str, delimiter: char) -> String {
    let stumble = |c: char| c == delimiter || "\"\\{} \t\n\r\u{b}\u{c}".contains(c);
    if text.is_empty() || text.eq_ignore_ascii_case("null") || text.contains(stumble) {
        format!("\"{}\"", text.replace('\\', r"\\").replace('"', "\\\""))
    } else {
        text.to_owned()
    }
}

/// As `record_out`, which doubles quotes and backslashes.
fn composite_sample(names: &[String], fields: &[Sample]) -> (String, Value) {
    let texts = fields.iter().map(|field| match field {
        None => String::new(),
        Some((text, _)) if text.is_empty() || text.contains(|c| "\"\\(), \t\n\r\u{b}\u{c}".contains(c)) => {
            format!("\"{}\"", text.replace('\\', r"\\").replace('"', "\"\""))
        }
        Some((text, _)) => text.clone(),
    });
    let values = fields.iter().map(|field| field.as_ref().map_or(Value::Null, |(_, value)| value.clone()));
    let text = format!("({})", texts.collect::<Vec<_>>().join(","));
    (text, names.iter().cloned().zip(values).collect::<serde_json::Map<_, _>>().into())
}

fn hstore_text(pairs: &BTreeMap<String, Option<String>>) -> String {
    let quote = |text: &String| format!("\"{}\"", text.replace('\\', r"\\").replace('"', "\\\""));
    let pair = |(key, value): (&String, &Option<String>)| {
        format!("{}=>{}", quote(key), value.as_ref().map_or("NULL".to_owned(), quote))
    };
    pairs.iter().map(pair).collect::<Vec<_>>().join(", ")
}

fn every_shape() -> Vec<Arc<TypeInfo>> {
    let of = |ty: Type| builtin(ty.oid()).unwrap();
    let scalars = [
        Type::TEXT,
        Type::BOOL,
        Type::INT4,
        Type::INT8,
        Type::FLOAT8,
        Type::NUMERIC,
        Type::JSONB,
        Type::TIMESTAMP,
        Type::TIMESTAMPTZ,
    ];
    let mut shapes: Vec<_> = scalars.into_iter().map(of).chain([TypeInfo::hstore()]).collect();
    let arrays: Vec<_> = shapes.iter().map(|info| TypeInfo::array("_x", Arc::clone(info), b',')).collect();
    let pair = |second| vec![Attribute::new("\"first\"", of(Type::INT4)), Attribute::new("second", second)];
    let rows: Vec<_> = shapes.iter().map(|info| TypeInfo::composite("row", pair(Arc::clone(info)))).collect();
    shapes.push(TypeInfo::array("_row", Arc::clone(&rows[0]), b';'));
    shapes.push(TypeInfo::composite("wide", pair(Arc::clone(&arrays[0]))));
    shapes.push(TypeInfo::composite("empty", Vec::new()));
    shapes.extend(arrays);
    shapes.extend(rows);
    shapes
}

/// Bytes that get past the first checks of each parser often enough.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        any::<Vec<u8>>(),
        vec(proptest::sample::select(b"{}()[]\"\\,;:=>tf01-+.eENUL nul\xff\xc3\xa9\n".to_vec()), 0..24),
        "[{(]([0-9]|\"|,|NULL|\\\\|[{(]|[)}]){0,12}[)}]".prop_map(String::into_bytes),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_bytes_of_any_shape_give_exactly_one_json_value(text in bytes()) {
        for info in every_shape() {
            for profile in [Profile::Default, Profile::Exact, Profile::Text] {
                let mut out = b"[0,".to_vec();
                write_value(&mut out, &info, &text, profile);
                let value = out.strip_prefix(b"[0,").unwrap();
                let raw = serde_json::from_slice::<&RawValue>(value);
                prop_assert!(raw.is_ok(), "{info:?} {profile:?}: {}", String::from_utf8_lossy(value));
            }
        }
    }

    #[test]
    fn any_value_of_any_type_reads_back(
        (kind, sample) in kind().prop_flat_map(|kind| (Just(kind.clone()), kind.sample()))
    ) {
        if let Some((text, expected)) = sample {
            let mut out = Vec::new();
            write_value(&mut out, &kind.info(), text.as_bytes(), Profile::Default);
            prop_assert_eq!(serde_json::from_slice::<Value>(&out).unwrap(), expected, "{}", text);
        }
    }
}
