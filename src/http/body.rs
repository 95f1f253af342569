//! The bodies of requests: each is bounded in bytes and in time.

use std::time::Duration;

use axum::body::{self, Body};
use axum::http::StatusCode;
use bytes::Bytes;
use thiserror::Error;

/// The largest that is not bounded by a setting, in bytes.
pub(super) const BYTES: usize = 1024 * 1024;

/// How long a client may take to send one.
const TIME: Duration = Duration::from_secs(30);

/// Why a body was not read to its end.
#[derive(Clone, Copy, Debug, Error)]
pub(super) enum BodyError {
    #[error("the body is larger than {most} bytes")]
    TooLarge { most: usize },
    #[error("the body took longer than {} s", TIME.as_secs())]
    TooSlow,
}

impl BodyError {
    pub(super) const fn status(self) -> StatusCode {
        match self {
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
        }
    }

    /// As docs/errors.md lists it.
    pub(super) const fn code(self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "BodyTooLarge",
            Self::TooSlow => "BodyTooSlow",
        }
    }
}

/// Reads a body of at most so many bytes.
pub(super) async fn read(body: Body, most: usize) -> Result<Bytes, BodyError> {
    match tokio::time::timeout(TIME, body::to_bytes(body, most)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        // Of the reasons why a body ends early, this is the only one whose sender still hears us.
        Ok(Err(_)) => Err(BodyError::TooLarge { most }),
        Err(_) => Err(BodyError::TooSlow),
    }
}
