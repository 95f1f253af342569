//! Why sockets end, in the words in which clients and metrics are told.

use std::time::Duration;

use crate::metrics::COUNTED;

/// How long a socket that is closed while others go on may take to read its close frame.
pub(super) const CLOSE_WITHIN: Duration = Duration::from_secs(2);

/// As what a socket counts that its client closed.
pub(super) const LEFT: &str = "code=\"\",reason=\"the client closed\"";

/// As what one counts whose connection ended without a close frame.
pub(super) const LOST: &str = "code=\"\",reason=\"the connection was lost\"";

/// Why we close a socket: the code (RFC 6455, section 7.4; docs/protocol.md) and its reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Closing {
    pub(super) code: u16,
    pub(super) reason: &'static str,
}

impl Closing {
    pub(super) const RESTART: Self = Self { code: 1012, reason: "the server restarts" };
    pub(super) const DISCONNECTED: Self =
        Self { code: 4000, reason: "disconnected by the server's operator" };
    pub(super) const SLOW: Self = Self { code: 1013, reason: "the socket reads too slowly" };
    pub(super) const IDLE: Self = Self { code: 1001, reason: "nothing was heard; send a heartbeat" };
    pub(super) const PROTOCOL: Self = Self { code: 1002, reason: "not a valid WebSocket frame" };
    pub(super) const NOT_UTF8: Self = Self { code: 1007, reason: "a text frame is not UTF-8" };
    pub(super) const NOT_DEFLATE: Self =
        Self { code: 1007, reason: "a compressed message cannot be read (RFC 7692)" };
    pub(super) const TOO_BIG: Self = Self { code: 1009, reason: "the message is over limits.frame_bytes" };

    pub(super) fn count(self) {
        COUNTED.closes.count(&format!("code=\"{}\",reason=\"{}\"", self.code, self.reason));
    }
}
