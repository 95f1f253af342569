//! hstore text: whatever it holds, one JSON value comes out, of strings and nulls only.

#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use walcast::change::types::TypeInfo;
use walcast::change::value::{Profile, write_value};

fuzz_target!(|text: &[u8]| {
    let mut out = Vec::new();
    write_value(&mut out, &TypeInfo::hstore(), text, Profile::Default);
    let json = std::str::from_utf8(&out).expect("UTF-8");
    if json.starts_with('{') {
        let pairs: BTreeMap<String, Option<String>> = serde_json::from_str(json).expect("strings and nulls");
        assert_eq!(pairs.is_empty(), text.is_empty());
    } else {
        let text = String::from_utf8_lossy(text);
        assert_eq!(serde_json::from_str::<String>(json).expect("a string"), text);
    }
});
