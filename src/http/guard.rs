//! One rule for every endpoint: the Host and Origin of a request decide whether it is heard.

use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::error;
use crate::access::origin::{OriginRule, Refusal};

/// Has a request answered if the rule lets it pass, and tells browsers in the response what the rule says of it.
pub(super) async fn guard<Answering: Future<Output = Response>>(
    origins: &OriginRule,
    request: Request,
    answer: impl FnOnce(Request) -> Answering,
) -> Response {
    let (head, body) = request.into_parts();
    let decided = decide(origins, &head);
    let request = Request::from_parts(head, body);
    let allowed = match decided {
        Ok(allowed) => allowed,
        Err(refusal) => return error(StatusCode::FORBIDDEN, "OriginRefused", &refusal.to_string()),
    };
    let preflight = request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let wanted = request.headers().get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned();
    let mut response = if preflight { StatusCode::NO_CONTENT.into_response() } else { answer(request).await };
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Some(origin) = allowed {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
        if preflight {
            allow(headers, wanted);
        }
    }
    response
}

/// Whom a request is for, and whose page sends it.
pub(super) struct Addressed<'a> {
    pub(super) host: Option<&'a str>,
    pub(super) origin: Option<&'a str>,
}

pub(super) fn addressed(request: &Parts) -> Addressed<'_> {
    // What is not text is no name that anybody listed.
    let text = |name: HeaderName| request.headers.get(name).map(|value| value.to_str().unwrap_or("\u{fffd}"));
    // A request line with an authority overrides the header (RFC 9112, section 3.2.2).
    let host = request.uri.authority().map(Authority::as_str).or_else(|| text(header::HOST));
    Addressed { host, origin: text(header::ORIGIN) }
}

/// The value for `Access-Control-Allow-Origin`, if the request names an origin.
pub(super) fn decide(origins: &OriginRule, request: &Parts) -> Result<Option<HeaderValue>, Refusal> {
    let Addressed { host, origin } = addressed(request);
    origins.decide(host, origin)?;
    Ok(origins.cors_allow_origin(origin).and_then(|origin| HeaderValue::from_str(origin).ok()))
}

/// What a page that may talk to us may send: any header that it names, since none grants anything that its origin
/// does not.
fn allow(headers: &mut HeaderMap, wanted: Option<HeaderValue>) {
    let methods = HeaderValue::from_static("GET, POST, PUT, DELETE");
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    if let Some(names) = wanted {
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, names);
        headers.append(header::VARY, HeaderValue::from_static("Access-Control-Request-Headers"));
    }
}
