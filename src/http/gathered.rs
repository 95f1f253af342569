//! What is gathered for a reader over HTTP. A large change in it is held once for all who wait with it: rows may be large, and
//! readers slow.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;

use super::event_stream::put_line;
use crate::change::value::{Profile, write_string};
use crate::change::wire::Telling;
use crate::channel::encoding::Payloads;
use crate::channel::serializer::{Reference, Version, envelope};
use crate::lsn::{Cursor, Epoch};
use crate::replay::Told;

/// Changes with rows from this size on are large, in bytes.
const LARGE: usize = 16 * 1024;

/// Bytes of a reader's own, and between them such as it shares with others.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    /// What comes before `own`.
    parts: Vec<Bytes>,
    own: Vec<u8>,
    len: usize,
}

/// How a change is written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Shape {
    /// As JSON.
    Value,
    /// As JSON in one line.
    Line,
    /// As messages of Phoenix for who spells the topic so, in JSON strings with a comma between them.
    Messages {
        version: Version,
        spelled: Arc<str>,
        /// Whether it is told as `*` too.
        star: bool,
    },
}

impl Gathered {
    /// In bytes.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn put(&mut self, bytes: &[u8]) {
        self.write(|own| own.extend_from_slice(bytes));
    }

    /// Appends what `write` appends.
    pub(super) fn write(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let before = self.own.len();
        write(&mut self.own);
        self.len += self.own.len().saturating_sub(before);
    }

    /// Appends a change, of which nothing is written here if `large` has it.
    pub(super) fn tell(&mut self, large: &Large, told: &Told, profile: Profile, shape: &Shape) {
        let Some((change, commit_timestamp, _)) = told.change() else { return };
        let telling = told.telling;
        let payload = || Payloads::new(change, commit_timestamp).get(telling, profile);
        let event = change.event(telling);
        if change.action.bytes() < LARGE {
            return self.write(|own| shape.write(own, event, &payload()));
        }
        let (cursor, epoch) = (change.cursor, told.epoch);
        let form = Form { cursor, epoch, telling, profile, shape: shape.clone() };
        let bytes = large.get(form, || {
            let mut out = Vec::new();
            shape.write(&mut out, event, &payload());
            out
        });
        self.seal();
        self.len += bytes.len();
        self.parts.push(bytes);
    }

    pub(super) fn append(&mut self, other: Self) {
        self.seal();
        self.len += other.len;
        self.parts.extend(other.parts);
        self.own = other.own;
    }

    fn seal(&mut self) {
        if !self.own.is_empty() {
            self.parts.push(std::mem::take(&mut self.own).into());
        }
    }

    /// All of it, in order.
    pub(super) fn into_parts(mut self) -> Vec<Bytes> {
        self.seal();
        self.parts
    }

    /// All of it as an answer, which nobody keeps.
    pub(super) fn into_json(self) -> Response {
        let len = self.len;
        let parts = self.into_parts().into_iter().map(Ok::<_, Infallible>);
        let mut response = Response::new(Body::from_stream(stream::iter(parts)));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::CONTENT_LENGTH, len.into());
        response
    }
}

impl Shape {
    fn write(&self, out: &mut Vec<u8>, event: &str, payload: &[u8]) {
        match self {
            Self::Value => out.extend_from_slice(payload),
            Self::Line => put_line(out, payload),
            Self::Messages { version, spelled, star } => {
                let null = Reference::null();
                for (number, event) in star.then_some("*").into_iter().chain([event]).enumerate() {
                    if number > 0 {
                        out.push(b',');
                    }
                    let around = envelope(*version, &null, &null, spelled, event);
                    write_string(out, &[&around.prefix, payload, &around.suffix].concat());
                }
            }
        }
    }
}

/// Large changes that somebody waits with.
#[derive(Clone, Default)]
pub struct Large(Arc<Mutex<HashMap<Form, Weak<Written>>>>);

/// Empty while it is being written.
type Written = OnceLock<Box<[u8]>>;

/// A change, and the form in which readers are told of it.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Form {
    cursor: Cursor,
    epoch: Option<Epoch>,
    telling: Telling,
    profile: Profile,
    shape: Shape,
}

impl Large {
    /// The change in this form, written if nobody has it; who wants it meanwhile waits for that.
    fn get(&self, form: Form, write: impl FnOnce() -> Vec<u8>) -> Bytes {
        let written = self.written(form);
        written.get_or_init(|| write().into_boxed_slice());
        Bytes::from_owner(Waiting(written))
    }

    fn written(&self, form: Form) -> Arc<Written> {
        let mut forms = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(written) = forms.get(&form).and_then(Weak::upgrade) {
            return written;
        }
        forms.retain(|_, written| written.strong_count() > 0);
        let written = Arc::default();
        forms.insert(form, Arc::downgrade(&written));
        written
    }
}

/// Somebody who waits.
struct Waiting(Arc<Written>);

impl AsRef<[u8]> for Waiting {
    fn as_ref(&self) -> &[u8] {
        self.0.get().map_or(&[], |written| written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(cursor: Cursor, shape: Shape) -> Form {
        Form { cursor, epoch: None, telling: Telling::Plain, profile: Profile::Default, shape }
    }

    #[test]
    fn what_somebody_waits_with_is_there_for_others_in_the_same_form_alone() {
        let large = Large::default();
        let messages = |star| Shape::Messages { version: Version::V2, spelled: "t".into(), star };
        let shapes = [Shape::Value, Shape::Line, messages(false), messages(true)];
        let waiting: Vec<Bytes> = (0..4_u8)
            .zip(shapes.clone())
            .map(|(number, shape)| large.get(form(Cursor::default(), shape), || vec![number; 9]))
            .collect();
        for (shape, held) in shapes.into_iter().zip(&waiting) {
            let again = large.get(form(Cursor::default(), shape), || panic!("it is there"));
            assert_eq!(again.as_ptr(), held.as_ptr());
        }
        drop(waiting);
        let again = large.get(form(Cursor::default(), Shape::Value), || vec![7]);
        assert_eq!((&*again, large.0.lock().unwrap().len()), (&[7_u8][..], 1));
    }

    #[test]
    fn own_and_shared_bytes_keep_their_order_and_are_counted() {
        let mut gathered = Gathered::default();
        assert!(gathered.is_empty());
        gathered.put(b"a");
        gathered.seal();
        gathered.seal();
        gathered.put(b"bc");
        assert_eq!(gathered.len(), 3);
        assert_eq!(gathered.into_parts(), [&b"a"[..], b"bc"]);
    }
}
