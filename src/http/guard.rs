//! One rule for every endpoint: the Host and Origin of a request decide whether it is heard.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::{App, error};
use crate::access::origin::{OriginRule, Refusal};

pub(super) async fn guard(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let allowed = match decide(&app.origins, &request) {
        Ok(allowed) => allowed,
        Err(refusal) => return error(StatusCode::FORBIDDEN, "OriginRefused", &refusal.to_string()),
    };
    let preflight = request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response =
        if preflight { StatusCode::NO_CONTENT.into_response() } else { next.run(request).await };
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Some(origin) = allowed {
        allow(headers, origin, preflight);
    }
    response
}

/// The value for `Access-Control-Allow-Origin`, if the request names an origin.
fn decide(origins: &OriginRule, request: &Request) -> Result<Option<HeaderValue>, Refusal> {
    // What is not text is no name that anybody listed.
    let text =
        |name: HeaderName| request.headers().get(name).map(|value| value.to_str().unwrap_or("\u{fffd}"));
    // A request line with an authority overrides the header (RFC 9112, section 3.2.2).
    let host =
        request.uri().authority().map(axum::http::uri::Authority::as_str).or_else(|| text(header::HOST));
    let origin = text(header::ORIGIN);
    origins.decide(host, origin)?;
    Ok(origins.cors_allow_origin(origin).and_then(|origin| HeaderValue::from_str(origin).ok()))
}

fn allow(headers: &mut HeaderMap, origin: HeaderValue, preflight: bool) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    if preflight {
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST"));
        let names = HeaderValue::from_static("authorization, content-type, apikey, x-client-info");
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, names);
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    }
}
