//! Row text: whatever it holds, one JSON value comes out, and an object has every attribute once.

#![no_main]

use std::collections::BTreeMap;
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;
use walcast::change::types::{Attribute, TypeInfo, builtin};
use walcast::change::value::{Profile, write_value};

const INT8: u32 = 20;
const TIMESTAMPTZ: u32 = 1184;

/// `attributes` of them, by turns a number, a text, an array of texts, a row and a time.
fn row(attributes: u8, depth: u8) -> Arc<TypeInfo> {
    let known = |oid| builtin(oid).expect("a type that every Postgres has");
    let attribute = |position: u8| {
        let info = match position % 5 {
            0 => known(INT8),
            1 => TypeInfo::text("text"),
            2 => TypeInfo::array("_text", TypeInfo::text("text"), b','),
            3 if depth > 0 => row(2, depth - 1),
            _ => known(TIMESTAMPTZ),
        };
        Attribute::new(&format!("\"{position}"), info)
    };
    TypeInfo::composite("fuzzed", (0..attributes).map(attribute).collect())
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&choice, text)) = bytes.split_first() else { return };
    let attributes = choice % 6;
    let info = row(attributes, 2);
    for profile in [Profile::Default, Profile::Exact, Profile::Text] {
        let mut out = Vec::new();
        write_value(&mut out, &info, text, profile);
        let json = std::str::from_utf8(&out).expect("UTF-8");
        if json.starts_with('{') {
            let object: BTreeMap<String, &RawValue> = serde_json::from_str(json).expect("an object");
            assert_eq!(object.len(), usize::from(attributes));
            assert!(text.starts_with(b"(") && text.ends_with(b")"));
        } else {
            let text = String::from_utf8_lossy(text);
            assert_eq!(serde_json::from_str::<String>(json).expect("a string"), text);
        }
    }
});
