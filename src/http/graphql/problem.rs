//! Requests that never become an operation.

use std::borrow::Cow;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use serde_json::json;

use crate::graphql::negotiation::Json;
use crate::http::body::BodyError;

/// Why; clients see it as `{"errors": [{"message": .., "extensions": {"code": ..}}]}`. Codes are listed in
/// docs/errors.md.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    code: &'static str,
    message: Cow<'static, str>,
    header: Option<(HeaderName, &'static str)>,
}

impl From<BodyError> for Problem {
    fn from(cut: BodyError) -> Self {
        Self::new(cut.status(), cut.code(), cut.to_string())
    }
}

impl Problem {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code, message: message.into(), header: None }
    }

    /// A parameter that cannot be what it is.
    pub(super) fn parameter(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "RequestInvalid", message)
    }

    pub(super) fn with(self, name: HeaderName, value: &'static str) -> Self {
        Self { header: Some((name, value)), ..self }
    }

    pub(super) fn body(&self) -> Bytes {
        let error = json!({ "message": self.message, "extensions": { "code": self.code } });
        json!({ "errors": [error] }).to_string().into()
    }

    /// As a plain answer.
    pub(super) fn response(&self, kind: Json) -> Response {
        let mut response = plain(self.status, kind, self.body());
        if let Some((name, value)) = &self.header {
            response.headers_mut().insert(name.clone(), HeaderValue::from_static(value));
        }
        response
    }
}

/// One JSON object.
pub(super) fn plain(status: StatusCode, kind: Json, body: Bytes) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind.content_type()));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
