//! The contents of logical messages with a prefix of ours: no panic on any bytes, and only what keeps the limits is read.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;
use walcast::change::message::{Content, INVALIDATE, KEYS, MARK, PAYLOAD_BYTES, SEND, check_name};

fuzz_target!(|bytes: &[u8]| {
    let content = Bytes::copy_from_slice(bytes);
    for prefix in [INVALIDATE, SEND, MARK] {
        match Content::read(prefix.as_bytes(), &content) {
            Some(Ok(Content::Invalidate(keys))) => {
                assert!(keys.len() <= KEYS && keys.iter().all(|key| check_name(key).is_ok()));
            }
            Some(Ok(Content::Send(sent))) => {
                assert!(check_name(&sent.topic).is_ok() && check_name(&sent.event).is_ok());
                assert!(sent.payload.len() <= PAYLOAD_BYTES && !sent.payload.contains(&b'\n'));
                serde_json::from_slice::<&RawValue>(&sent.payload).expect("a payload is JSON");
            }
            Some(Ok(Content::Mark(name))) => assert!(check_name(&name).is_ok()),
            Some(Err(error)) => drop(error.to_string()),
            None => unreachable!("the prefix is ours"),
        }
    }
});
