//! A client that costs little itself: it reads frame headers and finds one field.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

pub struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Client {
    /// Connects (vsn 2.0.0) and joins, with only the typed frames.
    pub async fn join(address: SocketAddr, topic: &str) -> Self {
        Self::join_over(TcpStream::connect(address).await.unwrap(), topic, "").await.0
    }

    /// As [`Client::join`], with further options as they stand in an object; returns the reply too.
    pub async fn join_with(address: SocketAddr, topic: &str, options: &str) -> (Self, String) {
        Self::join_over(TcpStream::connect(address).await.unwrap(), topic, options).await
    }

    /// One that joins and is never read from again; its receive buffer is as small as the system allows.
    pub async fn dead(address: SocketAddr, topic: &str) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        Self::join_over(socket.connect(address).await.unwrap(), topic, "").await.0
    }

    async fn join_over(mut stream: TcpStream, topic: &str, options: &str) -> (Self, String) {
        stream.set_nodelay(true).unwrap();
        let request = "GET /socket/websocket?vsn=2.0.0 HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n\
                       Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
        let mut client = Self { stream, buffer: vec![0; 1024], start: 0, end: 0 };
        client
            .send(&format!("[\"1\",\"1\",\"{topic}\",\"phx_join\",{{\"frames\":\"type\"{options}}}]"))
            .await;
        let reply = client.frame().await.expect("a reply");
        let reply = String::from_utf8_lossy(reply).into_owned();
        assert!(reply.contains("\"status\":\"ok\""), "{reply}");
        (client, reply)
    }

    /// Sends a short text frame, masked with zeros (RFC 6455, section 5.3).
    async fn send(&mut self, text: &str) {
        let mut frame = vec![0x81, 0xFE];
        frame.extend_from_slice(&u16::try_from(text.len()).unwrap().to_be_bytes());
        frame.extend_from_slice(&[0; 4]);
        frame.extend_from_slice(text.as_bytes());
        self.stream.write_all(&frame).await.unwrap();
    }

    /// The next text frame's payload; `None` when the server closes.
    pub async fn frame(&mut self) -> Option<&[u8]> {
        loop {
            if let Some((header, length, opcode)) = self.head() {
                if self.end - self.start >= header + length {
                    let payload = self.start + header..self.start + header + length;
                    self.start = payload.end;
                    match opcode {
                        1 => return Some(&self.buffer[payload]),
                        8 => return None,
                        _ => continue,
                    }
                }
                self.reserve(header + length);
            } else {
                self.reserve(16);
            }
            match self.stream.read(&mut self.buffer[self.end..]).await {
                Ok(0) | Err(_) => return None,
                Ok(count) => self.end += count,
            }
        }
    }

    /// Of the frame at the start: header length, payload length, opcode.
    fn head(&self) -> Option<(usize, usize, u8)> {
        let bytes = &self.buffer[self.start..self.end];
        let (opcode, short) = (bytes.first()? & 15, *bytes.get(1)?);
        Some(match short {
            126 => (4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)), opcode),
            127 => {
                (10, usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?, opcode)
            }
            length => (2, usize::from(length), opcode),
        })
    }

    fn reserve(&mut self, needed: usize) {
        if self.start > 0 && self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        if self.buffer.len() - self.start < needed || self.end == self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            let grown = needed.max(if self.end * 2 > self.buffer.len() { self.buffer.len() * 2 } else { 0 });
            if grown > self.buffer.len() {
                self.buffer.resize(grown.min(256 * 1024).max(needed), 0);
            }
        }
    }
}
