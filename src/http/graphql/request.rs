//! The parameters of a request, from a query string or a JSON body (GraphQL-over-HTTP draft, "Request").

use apollo_compiler::response::{JsonMap, JsonValue};
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, StatusCode, Uri, header};
use serde::{Deserialize, Deserializer};
use url::form_urlencoded;

use super::problem::Problem;
use crate::graphql::negotiation::is_json_request;
use crate::http::body;

/// What a client sent.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Parameters {
    pub(super) query: Option<String>,
    pub(super) document_id: Option<String>,
    pub(super) operation_name: Option<String>,
    #[serde(deserialize_with = "nullable")]
    pub(super) variables: JsonMap,
    #[serde(deserialize_with = "nullable")]
    pub(super) extensions: JsonMap,
}

fn nullable<'de, D: Deserializer<'de>>(deserializer: D) -> Result<JsonMap, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

impl Parameters {
    /// Reads those of a GET.
    pub(super) fn from_query(query: Option<&str>) -> Result<Self, Problem> {
        let mut map = JsonMap::new();
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            // "Setting the value of the operationName parameter to the empty string is equivalent to omitting" it;
            // clients do so with the others, too.
            let value = match &*name {
                "query" | "documentId" | "operationName" if !value.is_empty() => {
                    JsonValue::String(value.as_ref().into())
                }
                "variables" | "extensions" if !value.is_empty() => serde_json::from_str(&value)
                    .map_err(|_| Problem::parameter(format!("`{name}` is not JSON")))?,
                _ => continue,
            };
            if map.insert(name.as_ref(), value).is_some() {
                return Err(Problem::parameter(format!("`{name}` is given more than once")));
            }
        }
        Self::from_map(map)
    }

    /// Reads those of a POST.
    pub(super) async fn from_body(headers: &HeaderMap, body: Body) -> Result<Self, Problem> {
        let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if !is_json_request(content_type) {
            let unsupported = Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "ContentTypeUnsupported",
                "the Content-Type of a POST must be application/json, in UTF-8",
            );
            return Err(unsupported.with(header::ACCEPT, "application/json"));
        }
        Self::from_json(&body::read(body, body::BYTES).await?)
    }

    fn from_json(body: &[u8]) -> Result<Self, Problem> {
        // Derived code would take an array, too.
        if body.trim_ascii_start().starts_with(b"{")
            && let Ok(parameters) = serde_json::from_slice(body)
        {
            return Ok(parameters);
        }
        // Whatever is odd is looked at again, value by value, to say what it is.
        match serde_json::from_slice(body) {
            Ok(JsonValue::Object(map)) => Self::from_map(map),
            Ok(_) => Err(Problem::parameter("the body is not a JSON object")),
            Err(error) => Err(Problem::parameter(format!(
                "the body is not JSON, from line {}, column {} on",
                error.line(),
                error.column()
            ))),
        }
    }

    fn from_map(mut map: JsonMap) -> Result<Self, Problem> {
        Ok(Self {
            query: text(&mut map, "query")?,
            document_id: text(&mut map, "documentId")?,
            operation_name: text(&mut map, "operationName")?,
            variables: object(&mut map, "variables")?,
            extensions: object(&mut map, "extensions")?,
        })
    }
}

/// A parameter of the query string that is not the operation's.
pub(super) fn query_parameter(uri: &Uri, wanted: &str) -> Option<String> {
    let mut parameters = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    parameters.find(|(name, value)| name == wanted && !value.is_empty()).map(|(_, value)| value.into_owned())
}

/// A header that may be given in several lines.
pub(super) fn joined(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let lines: Vec<_> = headers.get_all(name).iter().filter_map(|line| line.to_str().ok()).collect();
    (!lines.is_empty()).then(|| lines.join(","))
}

fn text(map: &mut JsonMap, name: &str) -> Result<Option<String>, Problem> {
    match map.remove(name) {
        None | Some(JsonValue::Null) => Ok(None),
        Some(JsonValue::String(text)) => Ok(Some(text.as_str().to_owned())),
        Some(_) => Err(Problem::parameter(format!("`{name}` must be a string"))),
    }
}

fn object(map: &mut JsonMap, name: &str) -> Result<JsonMap, Problem> {
    match map.remove(name) {
        None | Some(JsonValue::Null) => Ok(JsonMap::new()),
        Some(JsonValue::Object(object)) => Ok(object),
        Some(_) => Err(Problem::parameter(format!("`{name}` must be an object"))),
    }
}
