//! `multipart/mixed` (RFC 2046, section 5.1): a part for each result, for clients that know no event streams.

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use bytes::Bytes;
use futures_util::{StreamExt, stream};

use super::{Answers, Stopped};

/// The boundary is `-`, which is what servers of incremental delivery use.
const KIND: HeaderValue = HeaderValue::from_static("multipart/mixed; boundary=\"-\"");

const FIRST: Bytes = Bytes::from_static(b"\r\n---");
const LAST: Bytes = Bytes::from_static(b"--\r\n");

pub(super) fn response(answers: Answers) -> Response {
    let parts = answers.flat_map(|answer| match answer {
        Ok(answer) => {
            let [before, after] = around(answer.body.len());
            stream::iter(vec![Ok(before), Ok(answer.body), Ok(after)])
        }
        Err(stopped) => stream::iter(vec![Err(stopped)]),
    });
    let first = stream::iter([Ok::<_, Stopped>(FIRST)]);
    let mut response = Response::new(Body::from_stream(first.chain(parts).chain(stream::iter([Ok(LAST)]))));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, KIND);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// What stands around the JSON of a part. The delimiter comes with the part that it ends: a reader knows by it that
/// the part is whole, and the next one may be long in coming.
fn around(length: usize) -> [Bytes; 2] {
    let head =
        format!("\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: {length}\r\n\r\n");
    [head.into(), FIRST]
}
