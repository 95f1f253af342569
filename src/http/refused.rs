//! Why a client that asks for changes over plain HTTP gets none.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use thiserror::Error;

use super::error;
use crate::channel::Refusal;
use crate::topic::TopicError;

/// When a client may try again what time mends, in seconds.
pub(super) const RETRY_AFTER: u32 = 5;

/// A refusal; its text goes to the client.
#[derive(Debug, Error)]
pub(super) enum Refused {
    /// A parameter of the query string is missing, given twice, or has a value that it cannot have.
    #[error("{0}")]
    Parameter(&'static str),
    /// As a join would be.
    #[error(transparent)]
    Channel(#[from] Refusal),
    #[error("the server has as many sockets as it may (limits.sockets)")]
    TooManySockets,
    #[error("the replay window, from which this is read, is off (window.bytes is 0); use a WebSocket")]
    WindowOff,
}

impl Refused {
    /// Whether time mends it.
    pub(super) const fn passes(&self) -> bool {
        matches!(
            self,
            Self::TooManySockets | Self::Channel(Refusal::Unavailable(_) | Refusal::TooManyMembers { .. })
        )
    }

    /// The status, the code and the words, in whatever form `error` gives them.
    pub(super) fn tell<T>(&self, error: impl FnOnce(StatusCode, &str, &str) -> T) -> T {
        let text = self.to_string();
        match self {
            Self::Parameter(_) => error(StatusCode::BAD_REQUEST, "RequestInvalid", &text),
            Self::TooManySockets => error(StatusCode::SERVICE_UNAVAILABLE, "TooManySockets", &text),
            Self::WindowOff => error(StatusCode::SERVICE_UNAVAILABLE, "WindowOff", &text),
            Self::Channel(refusal) => match text.split_once(": ") {
                Some((code, words)) => error(status(refusal), code, words),
                // Phoenix' own text, which has no code.
                None => error(StatusCode::NOT_FOUND, "TopicUnmatched", "a topic begins with realtime:"),
            },
        }
    }

    /// The answer to a request.
    pub(super) fn response(&self) -> Response {
        let mut response = self.tell(error);
        if self.passes() {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER));
        }
        response
    }
}

const fn status(refusal: &Refusal) -> StatusCode {
    match refusal {
        Refusal::Unavailable(_) | Refusal::TooManyMembers { .. } => StatusCode::SERVICE_UNAVAILABLE,
        Refusal::Topic(TopicError::Unmatched)
        | Refusal::SchemaNotFound(_)
        | Refusal::TableNotFound(..)
        | Refusal::ColumnNotFound(..)
        | Refusal::NotATable(..)
        | Refusal::NotPublished(_)
        | Refusal::ColumnNotPublished(..) => StatusCode::NOT_FOUND,
        _ => StatusCode::BAD_REQUEST,
    }
}
