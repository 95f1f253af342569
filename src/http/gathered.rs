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
use crate::channel::serializer::Envelope;
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Shape {
    /// As JSON.
    Value,
    /// As JSON in one line.
    Line,
    /// As JSON in a JSON string.
    Text,
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

    /// Appends the payload of a change.
    pub(super) fn tell(&mut self, large: &Large, told: &Told, profile: Profile, shape: Shape) {
        self.put_payload(large.payload(told, profile, shape));
    }

    /// Appends the payload of a change in this envelope, all of it one JSON string.
    pub(super) fn tell_message(&mut self, large: &Large, told: &Told, profile: Profile, envelope: &Envelope) {
        let text = large.payload(told, profile, Shape::Text);
        // Of two strings, what is between their quotes makes one.
        let (mut prefix, mut suffix) = (Vec::new(), Vec::new());
        write_string(&mut prefix, &envelope.prefix);
        write_string(&mut suffix, &envelope.suffix);
        self.put(prefix.strip_suffix(b"\"").unwrap_or_default());
        self.put_payload(text.slice(1..text.len().saturating_sub(1)));
        self.put(suffix.strip_prefix(b"\"").unwrap_or_default());
    }

    fn put_payload(&mut self, payload: Bytes) {
        if payload.len() < LARGE {
            return self.put(&payload);
        }
        self.seal();
        self.len += payload.len();
        self.parts.push(payload);
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
    fn of(self, payload: Bytes) -> Bytes {
        let mut out = Vec::new();
        match self {
            Self::Value => return payload,
            Self::Line => put_line(&mut out, &payload),
            Self::Text => write_string(&mut out, &payload),
        }
        out.into()
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
    /// The payload of a change; of a small one, for whom alone it is asked.
    fn payload(&self, told: &Told, profile: Profile, shape: Shape) -> Bytes {
        let Some((change, commit_timestamp, _)) = told.change() else { return Bytes::new() };
        let telling = told.telling;
        let write = || shape.of(Payloads::new(change, commit_timestamp).get(telling, profile));
        if change.action.bytes() < LARGE {
            return write();
        }
        self.get(Form { cursor: change.cursor, epoch: told.epoch, telling, profile, shape }, write)
    }

    /// The change in this form, written if nobody has it; who wants it meanwhile waits for that.
    fn get(&self, form: Form, write: impl FnOnce() -> Bytes) -> Bytes {
        let written = self.written(form);
        written.get_or_init(|| Vec::from(write()).into());
        Bytes::from_owner(Waiting(written))
    }

    fn written(&self, form: Form) -> Arc<Written> {
        let mut forms = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(written) = forms.get(&form).and_then(Weak::upgrade) {
            return written;
        }
        // Before it grows.
        if forms.len() == forms.capacity() {
            forms.retain(|_, written| written.strong_count() > 0);
        }
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
    use crate::lsn::Lsn;

    fn form(at: u64, shape: Shape) -> Form {
        let cursor = Cursor { change: Lsn(at), ..Cursor::default() };
        Form { cursor, epoch: None, telling: Telling::Plain, profile: Profile::Default, shape }
    }

    #[test]
    fn what_somebody_waits_with_is_there_for_others_in_the_same_form_alone() {
        let large = Large::default();
        let shapes = [Shape::Value, Shape::Line, Shape::Text];
        let waiting: Vec<Bytes> = (0..3_u8)
            .zip(shapes)
            .map(|(number, shape)| large.get(form(0, shape), || vec![number; 9].into()))
            .collect();
        for (shape, held) in shapes.into_iter().zip(&waiting) {
            let again = large.get(form(0, shape), || panic!("it is there"));
            assert_eq!(again.as_ptr(), held.as_ptr());
        }
        drop(waiting);
        assert_eq!(large.get(form(0, Shape::Value), || vec![7].into()), [7_u8][..]);
    }

    #[test]
    fn what_nobody_waits_with_any_more_is_forgotten() {
        let large = Large::default();
        let waiting: Vec<Bytes> = (0..100).map(|at| large.get(form(at, Shape::Value), Bytes::new)).collect();
        for at in 100..10_000 {
            large.get(form(at, Shape::Value), Bytes::new);
        }
        let held = large.0.lock().unwrap().len();
        assert!((100..1000).contains(&held), "{held}");
        drop(waiting);
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
