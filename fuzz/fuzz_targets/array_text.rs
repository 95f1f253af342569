//! Array text: whatever it holds, one JSON value comes out, and an array only from an array's text.

#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;
use walcast::change::types::{self, TypeInfo};
use walcast::change::value::{Profile, write_value};

/// Element types that read their text differently: as it is, by a grammar, and by braces again.
const ELEMENTS: [fn() -> Arc<TypeInfo>; 4] = [
    || TypeInfo::text("text"),
    || builtin(INT8),
    || builtin(JSONB),
    || TypeInfo::array("_inner", TypeInfo::text("text"), b','),
];
const INT8: u32 = 20;
const JSONB: u32 = 3802;

fn builtin(oid: u32) -> Arc<TypeInfo> {
    types::builtin(oid).expect("a type that every Postgres has")
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&choice, text)) = bytes.split_first() else { return };
    let element = ELEMENTS[usize::from(choice) % ELEMENTS.len()]();
    let delimiter = if choice & 0x80 == 0 { b',' } else { b';' };
    let info = TypeInfo::array("_fuzzed", element, delimiter);
    for profile in [Profile::Default, Profile::Exact, Profile::Text] {
        let mut out = Vec::new();
        write_value(&mut out, &info, text, profile);
        let json = std::str::from_utf8(&out).expect("UTF-8");
        let value: &RawValue = serde_json::from_str(json).expect("one JSON value");
        if value.get().starts_with('[') {
            assert!(matches!(text.first(), Some(b'{' | b'[')) && text.last() == Some(&b'}'));
        } else {
            let text = String::from_utf8_lossy(text);
            assert_eq!(serde_json::from_str::<String>(json).expect("a string"), text);
        }
    }
});
