//! A WebSocket client below the rules: it sends any bytes, and reads only when told to.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::walcast::{PATIENCE, Walcast};

/// Opcodes with the bit that says that a message ends here (RFC 6455, section 5.2).
pub const TEXT: u8 = 0x81;
/// The last fragment.
pub const CONTINUATION: u8 = 0x80;
/// A close frame.
pub const CLOSE: u8 = 0x88;
/// A ping.
pub const PING: u8 = 0x89;
/// A pong.
pub const PONG: u8 = 0x8A;

/// A TCP stream whose handshake is done.
pub struct Raw {
    /// The bare stream.
    pub stream: TcpStream,
}

impl Raw {
    /// Connects with vsn 2.0.0.
    pub async fn connect(walcast: &Walcast) -> Self {
        Self::over(TcpStream::connect(walcast.address()).await.unwrap()).await
    }

    /// Connects with a receive buffer that is as small as the system allows.
    pub async fn small(walcast: &Walcast) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        Self::over(socket.connect(walcast.address()).await.unwrap()).await
    }

    async fn over(stream: TcpStream) -> Self {
        Self::shaking(stream, &handshake("localhost", "")).await.0
    }

    /// Connects with a handshake of its own; returns the head of the answer too.
    pub async fn with(walcast: &Walcast, handshake: &str) -> (Self, String) {
        Self::shaking(TcpStream::connect(walcast.address()).await.unwrap(), handshake).await
    }

    async fn shaking(mut stream: TcpStream, handshake: &str) -> (Self, String) {
        stream.write_all(handshake.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
        (Self { stream }, String::from_utf8(head).unwrap())
    }

    /// Sends one masked frame.
    pub async fn send(&mut self, first: u8, payload: &[u8]) {
        self.stream.write_all(&masked(first, payload)).await.unwrap();
    }

    /// Sends bytes as they are.
    pub async fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// The next frame: its first byte and its payload; `None` at the end of the stream.
    pub async fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        tokio::time::timeout(PATIENCE, self.read_frame()).await.expect("a frame in time")
    }

    async fn read_frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let first = self.stream.read_u8().await.ok()?;
        let length = match self.stream.read_u8().await.ok()? {
            126 => u64::from(self.stream.read_u16().await.ok()?),
            127 => self.stream.read_u64().await.ok()?,
            short => u64::from(short),
        };
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        self.stream.read_exact(&mut payload).await.ok()?;
        Some((first, payload))
    }

    /// The next text frame, as JSON.
    pub async fn text(&mut self) -> serde_json::Value {
        loop {
            let (first, payload) = self.frame().await.expect("a frame");
            if first == TEXT {
                return serde_json::from_slice(&payload).unwrap();
            }
        }
    }

    /// The code of the close frame, skipping what comes before it; `None` when the stream was cut without.
    pub async fn close_code(&mut self) -> Option<u16> {
        while let Some((first, payload)) = self.frame().await {
            if first == CLOSE {
                return Some(u16::from_be_bytes([payload[0], payload[1]]));
            }
        }
        None
    }

    /// Joins without the `*` twin and waits for the reply.
    pub async fn join(&mut self, topic: &str) {
        let frame = serde_json::json!(["1", "1", topic, "phx_join", {"frames": "type"}]).to_string();
        self.send(TEXT, frame.as_bytes()).await;
        let reply = self.text().await;
        assert_eq!(reply[4]["status"], "ok", "{reply}");
    }
}

/// The request of a handshake; `more` is whole header lines.
pub fn handshake(host: &str, more: &str) -> String {
    format!(
        "GET /socket/websocket?vsn=2.0.0 HTTP/1.1\r\nHost: {host}\r\nConnection: keep-alive, Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
    )
}

/// A frame as a client has to send it.
pub fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x12, 0x34, 0x56, 0x78];
    let mut out = vec![first];
    match payload.len() {
        short @ 0..126 => out.push(0x80 | u8::try_from(short).unwrap()),
        medium @ 126..65_536 => {
            out.push(0xFE);
            out.extend_from_slice(&u16::try_from(medium).unwrap().to_be_bytes());
        }
        long => {
            out.push(0xFF);
            out.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    out
}
