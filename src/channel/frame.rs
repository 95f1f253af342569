//! Bytes ready for sockets: WebSocket frames with their header, encoded once and shared.

use std::sync::Arc;

use bytes::Bytes;

use super::deflate;

/// Payloads from this size on are shared between frames instead of copied into each.
const SHARED_PAYLOAD_BYTES: usize = 16 * 1024;

/// How a frame begins that is a whole text message.
const TEXT: u8 = 0x81;

/// The same, compressed (RFC 7692, section 6).
const DEFLATED_TEXT: u8 = 0xC1;

/// One or more whole WebSocket messages for one socket.
#[derive(Clone, Debug)]
pub enum Frame {
    /// All in one buffer.
    Whole(Bytes),
    /// Headers and envelopes around a large shared payload.
    Parts(Arc<[Bytes]>),
}

impl Frame {
    /// Length in bytes, as it goes to the socket.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Whole(bytes) => bytes.len(),
            Self::Parts(parts) => parts.iter().map(Bytes::len).sum(),
        }
    }

    /// Whether there is nothing to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether others hold the same bytes.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        let shared = |bytes: &Bytes| !bytes.is_empty() && !bytes.is_unique();
        match self {
            Self::Whole(bytes) => shared(bytes),
            Self::Parts(parts) => Arc::strong_count(parts) > 1 || parts.iter().any(shared),
        }
    }
}

/// A text message of `payload` between the envelope's halves.
#[must_use]
pub fn text(payload: &[u8]) -> Frame {
    let mut out = Vec::with_capacity(payload.len() + 10);
    header(&mut out, TEXT, payload.len());
    out.extend_from_slice(payload);
    Frame::Whole(out.into())
}

/// Text messages that carry one payload in several envelopes (a `*` twin, then the typed one), as one frame.
/// Returns it with the frame of the last message alone.
#[must_use]
pub fn around(payload: &Bytes, envelopes: &[(&[u8], &[u8])]) -> (Frame, Frame) {
    let length = |(prefix, suffix): &(&[u8], &[u8])| prefix.len() + payload.len() + suffix.len();
    if payload.len() < SHARED_PAYLOAD_BYTES {
        let mut out = Vec::with_capacity(envelopes.iter().map(|envelope| length(envelope) + 10).sum());
        let mut last = 0;
        for envelope in envelopes {
            last = out.len();
            header(&mut out, TEXT, length(envelope));
            out.extend_from_slice(envelope.0);
            out.extend_from_slice(payload);
            out.extend_from_slice(envelope.1);
        }
        let all = Bytes::from(out);
        let tail = all.slice(last..);
        return (Frame::Whole(all), Frame::Whole(tail));
    }
    let mut parts: Vec<Bytes> = Vec::with_capacity(envelopes.len() * 3);
    for envelope in envelopes {
        let mut head = Vec::with_capacity(envelope.0.len() + 10);
        header(&mut head, TEXT, length(envelope));
        head.extend_from_slice(envelope.0);
        parts.push(head.into());
        parts.push(payload.clone());
        parts.push(Bytes::copy_from_slice(envelope.1));
    }
    let last = parts.get(parts.len().saturating_sub(3)..).unwrap_or_default().into();
    (Frame::Parts(parts.into()), Frame::Parts(last))
}

/// As [`around`], for sockets that take compressed messages. Those that would not gain are as they would be there.
#[must_use]
pub fn deflated(payload: &Bytes, envelopes: &[(&[u8], &[u8])]) -> (Frame, Frame) {
    let mut out = Vec::new();
    let mut last = 0;
    for (prefix, suffix) in envelopes {
        last = out.len();
        let compressed = deflate::deflated([prefix, payload, suffix], |bytes| {
            out.reserve(bytes.len() + 10);
            header(&mut out, DEFLATED_TEXT, bytes.len());
            out.extend_from_slice(bytes);
        });
        if compressed.is_none() {
            return around(payload, envelopes);
        }
    }
    let all = Bytes::from(out);
    let tail = all.slice(last..);
    (Frame::Whole(all), Frame::Whole(tail))
}

/// A close frame (RFC 6455, section 5.5.1). `reason` has at most 123 bytes.
#[must_use]
pub fn close(code: u16, reason: &str) -> Frame {
    let reason = reason.as_bytes().get(..reason.len().min(123)).unwrap_or_default();
    let mut out = vec![0x88, u8::try_from(reason.len() + 2).unwrap_or(2)];
    out.extend_from_slice(&code.to_be_bytes());
    out.extend_from_slice(reason);
    Frame::Whole(out.into())
}

/// An empty ping.
#[must_use]
pub fn ping() -> Frame {
    Frame::Whole(Bytes::from_static(&[0x89, 0]))
}

/// The header of an unmasked frame (RFC 6455, section 5.2).
fn header(out: &mut Vec<u8>, first: u8, length: usize) {
    out.push(first);
    if let Ok(short) = u8::try_from(length)
        && short < 126
    {
        out.push(short);
    } else if let Ok(medium) = u16::try_from(length) {
        out.push(126);
        out.extend_from_slice(&medium.to_be_bytes());
    } else {
        out.push(127);
        out.extend_from_slice(&(length as u64).to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use tokio_tungstenite::tungstenite::protocol::{Message, Role, WebSocketContext};

    use super::*;

    fn read_back(frame: &Frame) -> Vec<Message> {
        let bytes: Vec<u8> = match frame {
            Frame::Whole(bytes) => bytes.to_vec(),
            Frame::Parts(parts) => parts.concat(),
        };
        assert_eq!(bytes.len(), frame.len());
        let mut context = WebSocketContext::new(Role::Client, None);
        let mut stream = std::io::Cursor::new(bytes);
        std::iter::from_fn(|| context.read(&mut stream).ok()).collect()
    }

    #[test]
    fn messages_of_every_length_are_read_back() {
        for length in
            [0, 1, 125, 126, 127, 65_535, 65_536, SHARED_PAYLOAD_BYTES - 1, SHARED_PAYLOAD_BYTES, 200_000]
        {
            let payload = Bytes::from("x".repeat(length));
            let expected =
                |before: &str, after: &str| Message::text(format!("{before}{}{after}", "x".repeat(length)));
            assert_eq!(read_back(&text(&payload)), [expected("", "")]);
            let (both, last) = around(&payload, &[(b"[1,", b"]"), (b"[2,", b"]")]);
            assert_eq!(read_back(&both), [expected("[1,", "]"), expected("[2,", "]")]);
            assert_eq!(read_back(&last), [expected("[2,", "]")]);
        }
    }

    #[test]
    fn control_frames_are_read_back() {
        assert_eq!(read_back(&ping()), [Message::Ping(Bytes::new())]);
        let [Message::Close(Some(close))] = &read_back(&close(1013, "try again"))[..] else {
            panic!("a close")
        };
        assert_eq!((u16::from(close.code), close.reason.as_str()), (1013, "try again"));
    }
}
