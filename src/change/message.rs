//! Logical messages: what somebody wrote into the log beside rows (PostgreSQL manual, `pg_logical_emit_message`).
//!
//! Two prefixes are ours, which the functions of `sql/walcast.sql` write: [`INVALIDATE`] with a JSON array of keys, and
//! [`SEND`] with an object of `topic`, `event`, `payload` and `private`, both in UTF-8. Anybody who may execute
//! `pg_logical_emit_message` can write them as well, so their contents are checked here again.

use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use thiserror::Error;

use crate::lsn::Cursor;

/// The prefix of messages that invalidate.
pub const INVALIDATE: &str = "walcast.invalidate";

/// The prefix of messages that are sent to a topic.
pub const SEND: &str = "walcast.send";

/// The prefix of our own marks, each a name that nobody else knows. When one comes back, everything that was committed
/// before it was written has come as well.
pub const MARK: &str = "walcast.mark";

/// The most keys that are invalidated at once.
pub const KEYS: usize = 1000;

/// The longest key, topic or event, in bytes.
pub const NAME_BYTES: usize = 1024;

/// The longest payload, in bytes.
pub const PAYLOAD_BYTES: usize = 1024 * 1024;

/// The longest content that is looked at, in bytes: what the other limits allow, with every character escaped, is less.
const CONTENT_BYTES: usize = 8 * 1024 * 1024;

/// A message of ours in the stream.
#[derive(Clone, Debug)]
pub struct Message {
    /// Its place in the total order. Its LSN is that of its last byte, which no row and no commit has: Postgres tells
    /// the message's end, and that is where the next row or commit of the log may start. So rows keep the cursors that
    /// they would have without it, and one outside of a transaction, (LSN, LSN, 0), comes before whatever commits
    /// behind it.
    pub cursor: Cursor,
    /// What it says.
    pub content: Content,
}

/// What a message of ours says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Results with one of these resource identifiers are stale.
    Invalidate(Arc<[String]>),
    /// Something was sent to a topic.
    Send(Arc<Sent>),
    /// A mark of ours, or of another process.
    Mark(Box<str>),
}

/// What was sent to a topic, by SQL or over HTTP.
#[derive(Clone, PartialEq, Eq)]
pub struct Sent {
    /// To whom.
    pub topic: Box<str>,
    /// What happened, in the sender's words.
    pub event: Box<str>,
    /// A JSON text, without line breaks.
    pub payload: Bytes,
    /// Not for everybody.
    pub private: bool,
}

/// Why a message of ours cannot be acted upon; tells numbers and never the content.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ContentError {
    /// More than any message needs.
    #[error("it has {bytes} bytes, which is more than {CONTENT_BYTES}")]
    Content {
        /// Its size.
        bytes: usize,
    },
    /// Not the JSON that belongs to the prefix.
    #[error("it is not the JSON that belongs to its prefix, from line {line}, column {column} on")]
    Json {
        /// Counted from 1.
        line: usize,
        /// Counted from 1, in bytes.
        column: usize,
    },
    /// Too many keys at once.
    #[error("it has {have} keys, which is more than {KEYS}")]
    Keys {
        /// How many there are.
        have: usize,
    },
    /// A key, topic or event that cannot be one.
    #[error("its {what} {error}")]
    Name {
        /// Which of them.
        what: &'static str,
        /// What is wrong with it.
        error: NameError,
    },
    /// Too much to be sent.
    #[error("its payload has {bytes} bytes, which is more than {PAYLOAD_BYTES}")]
    Payload {
        /// Its size.
        bytes: usize,
    },
}

/// What is wrong with a key, a topic or an event; completes a sentence that begins with its place.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum NameError {
    /// Nothing can be called so.
    #[error("is empty")]
    Empty,
    /// More than [`NAME_BYTES`].
    #[error("is longer than {NAME_BYTES} bytes")]
    TooLong,
    /// An ASCII control character.
    #[error("has a control character")]
    Control,
}

/// Checks a key, a topic or an event.
///
/// # Errors
/// What is wrong with it.
pub fn check_name(name: &str) -> Result<(), NameError> {
    match name {
        "" => Err(NameError::Empty),
        name if name.len() > NAME_BYTES => Err(NameError::TooLong),
        name if name.bytes().any(|byte| byte.is_ascii_control()) => Err(NameError::Control),
        _ => Ok(()),
    }
}

impl Content {
    /// Reads the content of a message; `None` if the prefix is not ours.
    #[must_use]
    pub fn read(prefix: &[u8], content: &Bytes) -> Option<Result<Self, ContentError>> {
        let read = if prefix == INVALIDATE.as_bytes() {
            invalidate
        } else if prefix == SEND.as_bytes() {
            send
        } else if prefix == MARK.as_bytes() {
            mark
        } else {
            return None;
        };
        Some(match content.len() {
            0..=CONTENT_BYTES => read(content),
            bytes => Err(ContentError::Content { bytes }),
        })
    }
}

fn invalidate(content: &Bytes) -> Result<Content, ContentError> {
    let keys: Vec<String> = json(content)?;
    if keys.len() > KEYS {
        return Err(ContentError::Keys { have: keys.len() });
    }
    for key in &keys {
        named("key", key)?;
    }
    Ok(Content::Invalidate(keys.into()))
}

/// A [`Sent`] as it stands in a message.
#[derive(Deserialize)]
struct Written<'a> {
    topic: String,
    event: String,
    #[serde(borrow)]
    payload: &'a RawValue,
    #[serde(default)]
    private: bool,
}

fn mark(content: &Bytes) -> Result<Content, ContentError> {
    let what = "mark";
    let name =
        std::str::from_utf8(content).map_err(|_| ContentError::Name { what, error: NameError::Control })?;
    named(what, name)?;
    Ok(Content::Mark(name.into()))
}

fn send(content: &Bytes) -> Result<Content, ContentError> {
    let Written { topic, event, payload, private } = json(content)?;
    named("topic", &topic)?;
    named("event", &event)?;
    let payload = content.slice_ref(payload.get().as_bytes());
    if payload.len() > PAYLOAD_BYTES {
        return Err(ContentError::Payload { bytes: payload.len() });
    }
    Ok(Content::Send(Arc::new(Sent::new(topic, event, payload, private))))
}

fn json<'a, T: Deserialize<'a>>(content: &'a [u8]) -> Result<T, ContentError> {
    // The error's own text repeats values.
    serde_json::from_slice(content)
        .map_err(|error| ContentError::Json { line: error.line(), column: error.column() })
}

fn named(what: &'static str, name: &str) -> Result<(), ContentError> {
    check_name(name).map_err(|error| ContentError::Name { what, error })
}

impl Sent {
    /// Something to be sent; `payload` is a JSON text.
    #[must_use]
    pub fn new(
        topic: impl Into<Box<str>>,
        event: impl Into<Box<str>>,
        payload: Bytes,
        private: bool,
    ) -> Self {
        Self { topic: topic.into(), event: event.into(), payload: on_one_line(payload), private }
    }
}

/// Transports that are made of lines carry it. A line break may stand between the tokens of JSON only (RFC 8259,
/// section 7), where a space means the same.
fn on_one_line(json: Bytes) -> Bytes {
    if memchr::memchr2(b'\n', b'\r', &json).is_none() {
        return json;
    }
    let space = |byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte };
    json.into_iter().map(space).collect()
}

impl std::fmt::Debug for Sent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let payload = format_args!("{} bytes", self.payload.len());
        f.debug_struct("Sent")
            .field("topic", &self.topic)
            .field("event", &self.event)
            .field("payload", &payload)
            .field("private", &self.private)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(prefix: &str, content: &str) -> Result<Content, ContentError> {
        Content::read(prefix.as_bytes(), &Bytes::from(content.to_owned())).expect("a prefix of ours")
    }

    #[test]
    fn prefixes_of_others_are_left_to_them() {
        for prefix in ["", "walcast", "walcast.marker", "walcast.send ", "Walcast.send", "other"] {
            assert_eq!(Content::read(prefix.as_bytes(), &Bytes::from_static(b"[]")), None, "{prefix}");
        }
    }

    #[test]
    fn keys_are_read_in_order_and_within_their_limits() {
        let keys = |keys: &[&str]| Ok(Content::Invalidate(keys.iter().map(|&key| key.to_owned()).collect()));
        assert_eq!(read(INVALIDATE, "[]"), keys(&[]));
        let quoted = r#"["Auction:1", "Query.auction(id:\"1\")", "Größe:\u00fc"]"#;
        assert_eq!(read(INVALIDATE, quoted), keys(&["Auction:1", "Query.auction(id:\"1\")", "Größe:ü"]));
        let many = |count: usize| format!("[{}]", vec!["\"a\""; count].join(","));
        assert!(read(INVALIDATE, &many(KEYS)).is_ok());
        assert_eq!(read(INVALIDATE, &many(KEYS + 1)), Err(ContentError::Keys { have: KEYS + 1 }));
        let long = |bytes: usize| format!("[\"{}\"]", "\\u0061".repeat(bytes));
        assert!(read(INVALIDATE, &long(NAME_BYTES)).is_ok());
        for (content, error) in [
            (long(NAME_BYTES + 1), NameError::TooLong),
            ("[\"a\", \"\"]".to_owned(), NameError::Empty),
            ("[\"a\\u0000\"]".to_owned(), NameError::Control),
        ] {
            assert_eq!(read(INVALIDATE, &content), Err(ContentError::Name { what: "key", error }));
        }
    }

    #[test]
    fn what_is_sent_keeps_its_payload_digit_for_digit() {
        let number = "123456789012345678901234567890.10";
        let content =
            format!("{{\"topic\": \"t\", \"event\": \"e\", \"more\": 1, \"payload\": [{number},\r\n 2]}}");
        let Ok(Content::Send(sent)) = read(SEND, &content) else { panic!("it is well formed") };
        let expected = Sent::new("t", "e", Bytes::from(format!("[{number},   2]")), false);
        assert_eq!(*sent, expected);
        assert!(!format!("{sent:?}").contains("1234"), "a payload is not shown");
        let private = read(SEND, r#"{"topic":"t","event":"e","payload":null,"private":true}"#);
        let expected = Sent::new("t", "e", Bytes::from_static(b"null"), true);
        assert_eq!(private, Ok(Content::Send(Arc::new(expected))));
    }

    #[test]
    fn what_is_not_of_our_making_is_told_without_its_content() {
        for (prefix, content) in [
            (INVALIDATE, ""),
            (INVALIDATE, "secret"),
            (INVALIDATE, "[\"secret\""),
            (INVALIDATE, "{\"secret\": 1}"),
            (INVALIDATE, "[\"a\", null]"),
            (INVALIDATE, "[\"a\"] secret"),
            (SEND, "[]"),
            (SEND, r#"{"topic":"secret","event":"e"}"#),
            (SEND, r#"{"topic":"secret","payload":1}"#),
            (SEND, r#"{"topic":1,"event":"secret","payload":1}"#),
            (SEND, r#"{"topic":"t","event":"e","payload":1,"private":"secret"}"#),
        ] {
            let error = read(prefix, content).unwrap_err();
            assert!(matches!(error, ContentError::Json { .. }), "{content}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
        let bytes = Bytes::from_static(b"[\"\xff\"]");
        assert!(matches!(Content::read(INVALIDATE.as_bytes(), &bytes), Some(Err(ContentError::Json { .. }))));
        let huge = "x".repeat(PAYLOAD_BYTES - 1);
        let payload = format!("{{\"topic\":\"t\",\"event\":\"e\",\"payload\":\"{huge}\"}}");
        assert_eq!(read(SEND, &payload), Err(ContentError::Payload { bytes: PAYLOAD_BYTES + 1 }));
        let content = " ".repeat(CONTENT_BYTES + 1);
        assert_eq!(read(SEND, &content), Err(ContentError::Content { bytes: CONTENT_BYTES + 1 }));
        let empty = r#"{"topic":"","event":"e","payload":1}"#;
        assert_eq!(read(SEND, empty), Err(ContentError::Name { what: "topic", error: NameError::Empty }));
    }
}
