//! Reading what a client received without touching a digit: numbers stay the tokens they were.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::socket::Socket;

/// The members of a JSON object, in order, duplicates included.
pub struct Members(pub Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(InOrder)
    }
}

impl Members {
    /// The members of the object that `json` is.
    pub fn of(json: &str) -> Self {
        serde_json::from_str(json).unwrap_or_else(|error| panic!("{error} in {json}"))
    }

    /// The JSON of one member, if it is there.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, json)| json.get())
    }

    /// The JSON of one member.
    pub fn json(&self, name: &str) -> &str {
        self.get(name).unwrap_or_else(|| panic!("no member {name:?} among {:?}", self.names()))
    }

    /// One member as a value; only for what holds no numbers that matter.
    pub fn value(&self, name: &str) -> Value {
        self.get(name).map_or(Value::Null, |json| serde_json::from_str(json).unwrap())
    }

    /// The names, in order.
    pub fn names(&self) -> Vec<&str> {
        self.0.iter().map(|(name, _)| name.as_str()).collect()
    }
}

/// One spelling for all JSON texts that mean the same: no spaces outside of strings, strings escaped one
/// way. The order of members stays, and so does every character of a number.
pub fn canonical(json: &str) -> String {
    let joined = |parts: Vec<String>| parts.join(",");
    match json.trim_start().as_bytes()[0] {
        b'{' => {
            let members = Members::of(json).0.into_iter();
            let members = members.map(|(name, json)| format!("{}:{}", quoted(&name), canonical(json.get())));
            format!("{{{}}}", joined(members.collect()))
        }
        b'[' => {
            let elements: Vec<Box<RawValue>> = serde_json::from_str(json).unwrap();
            format!("[{}]", joined(elements.iter().map(|json| canonical(json.get())).collect()))
        }
        // A lone surrogate is legal JSON that Rust has no string for.
        b'"' => serde_json::from_str::<String>(json).map_or_else(|_| json.to_owned(), |text| quoted(&text)),
        _ => serde_json::from_str::<&RawValue>(json).unwrap().get().to_owned(),
    }
}

/// A JSON string.
pub fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

/// The payload of the next change on a socket whose joins asked for typed frames only.
pub async fn told(socket: &mut Socket) -> Members {
    loop {
        let text = socket.text().await;
        let (_, _, _, event, payload): (Value, Value, String, String, Box<RawValue>) =
            serde_json::from_str(&text).unwrap();
        if ["INSERT", "UPDATE", "DELETE", "TRUNCATE"].contains(&event.as_str()) {
            let payload = Members::of(payload.get());
            assert_eq!(payload.value("type"), event.as_str());
            return payload;
        }
        assert_ne!(event, "*");
    }
}

#[test]
fn numbers_keep_their_spelling_and_members_their_order() {
    assert_eq!(
        canonical(" {\"b\" : [1.10, 1e+5 ,-0], \"a\":\"\\u0041\\/\" , \"a\":null}"),
        r#"{"b":[1.10,1e+5,-0],"a":"A/","a":null}"#
    );
    assert_eq!(canonical(r#""\ud800""#), r#""\ud800""#);
}
