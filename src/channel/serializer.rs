//! Phoenix' two text serializers: vsn 1.0.0 (an object) and 2.0.0 (an array of five).
//!
//! References are kept as the JSON the client sent (a string, a number or null) and echoed as they came:
//! the Python client sends null with its heartbeats and wants null back.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use thiserror::Error;

use crate::change::value::write_string;

/// The serializer of one socket, from `?vsn=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// `1.0.0`, also when the parameter is missing.
    V1,
    /// `2.0.0`.
    V2,
}

/// A `vsn` that is not served.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("VersionUnsupported: vsn must be 1.0.0 or 2.0.0")]
pub struct UnknownVersion;

impl Version {
    /// Both versions, in the order of [`Version::index`].
    pub const ALL: [Self; 2] = [Self::V1, Self::V2];

    /// Its number, as `phoenix` sends it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::V1 => "1.0.0",
            Self::V2 => "2.0.0",
        }
    }

    /// The serializer for the value of `?vsn=`. As Phoenix does, any 1.x and 2.x are taken.
    ///
    /// # Errors
    /// When the version is neither.
    pub fn parse(vsn: Option<&str>) -> Result<Self, UnknownVersion> {
        match vsn {
            None => Ok(Self::V1),
            Some(vsn) if vsn == "1" || vsn.starts_with("1.") => Ok(Self::V1),
            Some(vsn) if vsn == "2" || vsn.starts_with("2.") => Ok(Self::V2),
            Some(_) => Err(UnknownVersion),
        }
    }
}

/// The longest reference that is echoed, in bytes.
const REFERENCE_BYTES: usize = 128;

/// A `ref` or `join_ref`, as the JSON it came as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference(Box<str>);

impl Reference {
    /// The reference of frames that answer nothing.
    #[must_use]
    pub fn null() -> Self {
        Self("null".into())
    }

    /// Whether the client gave none.
    #[must_use]
    pub fn is_null(&self) -> bool {
        &*self.0 == "null"
    }

    fn from_json(json: &str) -> Result<Self, FrameError> {
        let scalar = !json.starts_with(['{', '[']);
        if scalar && json.len() <= REFERENCE_BYTES {
            Ok(Self(json.into()))
        } else {
            Err(FrameError::Reference)
        }
    }
}

/// A frame that cannot be read; nothing of it was acted upon.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum FrameError {
    /// Not JSON, or not of the serializer's shape.
    #[error("FrameInvalid: a frame of vsn 1.0.0 is an object with topic, event, payload and ref")]
    ShapeV1,
    /// Not JSON, or not of the serializer's shape.
    #[error("FrameInvalid: a frame of vsn 2.0.0 is an array [join_ref, ref, topic, event, payload]")]
    ShapeV2,
    /// A reference that is an object, an array or very long.
    #[error("FrameInvalid: a ref is a string of at most 126 bytes, a number or null")]
    Reference,
}

/// One frame from a client.
#[derive(Debug)]
pub struct Incoming<'a> {
    /// Names the join that the frame belongs to.
    pub join_ref: Reference,
    /// Names the frame itself, for its reply.
    pub reference: Reference,
    /// The topic as the client spells it.
    pub topic: Cow<'a, str>,
    /// The event.
    pub event: Cow<'a, str>,
    /// The payload's JSON, not yet read.
    pub payload: &'a RawValue,
}

#[derive(Deserialize)]
struct ObjectFrame<'a> {
    #[serde(borrow)]
    topic: Cow<'a, str>,
    #[serde(borrow)]
    event: Cow<'a, str>,
    #[serde(borrow)]
    payload: &'a RawValue,
    #[serde(borrow, rename = "ref")]
    reference: Option<&'a RawValue>,
    #[serde(borrow)]
    join_ref: Option<&'a RawValue>,
}

type ArrayFrame<'a> = (Option<&'a RawValue>, Option<&'a RawValue>, Cow<'a, str>, Cow<'a, str>, &'a RawValue);

/// Reads one text frame.
///
/// # Errors
/// When it is not of the serializer's shape.
pub fn decode(version: Version, text: &str) -> Result<Incoming<'_>, FrameError> {
    let reference =
        |json: Option<&RawValue>| json.map_or(Ok(Reference::null()), |json| Reference::from_json(json.get()));
    match version {
        Version::V1 => {
            let frame: ObjectFrame<'_> = serde_json::from_str(text).map_err(|_| FrameError::ShapeV1)?;
            Ok(Incoming {
                join_ref: reference(frame.join_ref)?,
                reference: reference(frame.reference)?,
                topic: frame.topic,
                event: frame.event,
                payload: frame.payload,
            })
        }
        Version::V2 => {
            let (join_ref, reference_, topic, event, payload): ArrayFrame<'_> =
                serde_json::from_str(text).map_err(|_| FrameError::ShapeV2)?;
            Ok(Incoming {
                join_ref: reference(join_ref)?,
                reference: reference(reference_)?,
                topic,
                event,
                payload,
            })
        }
    }
}

/// The two halves of a frame around its payload.
#[derive(Debug)]
pub struct Envelope {
    /// Up to the payload.
    pub prefix: Vec<u8>,
    /// After it.
    pub suffix: Vec<u8>,
}

/// What surrounds a payload on its way to a client. vsn 1.0.0 has no `join_ref` on this way; its key
/// `ref` must be there even when null.
#[must_use]
pub fn envelope(
    version: Version,
    join_ref: &Reference,
    reference: &Reference,
    topic: &str,
    event: &str,
) -> Envelope {
    let mut prefix = Vec::with_capacity(topic.len() + event.len() + 64);
    let mut suffix = Vec::with_capacity(16);
    match version {
        Version::V1 => {
            prefix.extend_from_slice(b"{\"topic\":");
            write_string(&mut prefix, topic.as_bytes());
            prefix.extend_from_slice(b",\"event\":");
            write_string(&mut prefix, event.as_bytes());
            prefix.extend_from_slice(b",\"payload\":");
            suffix.extend_from_slice(b",\"ref\":");
            suffix.extend_from_slice(reference.0.as_bytes());
            suffix.push(b'}');
        }
        Version::V2 => {
            prefix.push(b'[');
            prefix.extend_from_slice(join_ref.0.as_bytes());
            prefix.push(b',');
            prefix.extend_from_slice(reference.0.as_bytes());
            prefix.push(b',');
            write_string(&mut prefix, topic.as_bytes());
            prefix.push(b',');
            write_string(&mut prefix, event.as_bytes());
            prefix.push(b',');
            suffix.push(b']');
        }
    }
    Envelope { prefix, suffix }
}
