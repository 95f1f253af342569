//! Server-Sent Events (HTML standard, section 9.2), whatever they tell.

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::Response;
use bytes::{BufMut, Bytes};
use futures_util::{Stream, StreamExt, stream};

/// What browsers wait for before they tell that a stream is open; a comment to everybody else.
pub(super) const COMMENT: Bytes = Bytes::from_static(b":\n\n");

/// A response of these events, with a comment at once.
pub(super) fn response<Fault>(events: impl Stream<Item = Result<Bytes, Fault>> + Send + 'static) -> Response
where
    Fault: Into<axum::BoxError> + Send + 'static,
{
    let mut response = Response::new(Body::from_stream(stream::iter([Ok(COMMENT)]).chain(events)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // nginx collects answers by default.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}

/// Appends `json` in one line: a line break ends the field, and JSON has some only between tokens, where a space does as
/// well.
pub(super) fn put_line(event: &mut impl BufMut, mut json: &[u8]) {
    while let Some(at) = memchr::memchr2(b'\n', b'\r', json) {
        let (line, rest) = json.split_at(at);
        event.put_slice(line);
        event.put_u8(b' ');
        json = rest.get(1..).unwrap_or_default();
    }
    event.put_slice(json);
}
