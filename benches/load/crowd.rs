//! Many sockets on one thread, which costs as little as it can: the server under load has to share the cores with it.

use std::cell::RefCell;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use memchr::memmem;
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::LocalSet;

use crate::contenders::Kind;

/// Sockets that are opened at a time, as after a server's restart.
const AT_A_TIME: usize = 64;

/// Microseconds since 1970.
pub fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros()).unwrap()
}

/// What all sockets of a crowd have seen.
#[derive(Default)]
pub struct Seen {
    /// Rows, over all sockets.
    pub rows: AtomicU64,
    /// Rows that were lost, came twice, or came out of order.
    pub faults: AtomicU64,
    /// Bytes that came, where rows are only counted.
    pub bytes: AtomicU64,
    /// Sockets that were closed.
    pub closed: AtomicU64,
    /// When the last row came, in microseconds since 1970.
    pub last: AtomicI64,
    /// From a row's writing to each client's reading of it, in milliseconds; only of small crowds.
    pub latencies: Mutex<Vec<f64>>,
}

impl Seen {
    /// Waits until so many rows were seen.
    pub async fn rows(&self, rows: u64) {
        let start = std::time::Instant::now();
        while self.rows.load(Ordering::Acquire) < rows {
            assert!(
                start.elapsed() < Duration::from_secs(60),
                "{} of {rows} rows",
                self.rows.load(Ordering::Relaxed)
            );
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// How a crowd looks at rows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Every socket gets every row, and its time is taken.
    Time,
    /// Every socket gets every row.
    Order,
    /// Rows are only counted, and bytes.
    Count,
    /// The same of sockets that ask for compression.
    Deflated,
}

/// The sockets; closed when dropped.
pub struct Crowd {
    pub seen: Arc<Seen>,
    close: Option<mpsc::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Crowd {
    /// Opens one socket for each topic, and returns when all have joined, or with the text that refused one.
    pub async fn open(
        address: SocketAddr,
        kind: Kind,
        topics: Vec<String>,
        look: Look,
    ) -> Result<Self, String> {
        let seen = Arc::new(Seen::default());
        let (close, mut closing) = mpsc::channel::<()>(1);
        let (ready, joined) = tokio::sync::oneshot::channel();
        let shared = Arc::clone(&seen);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            LocalSet::new().block_on(&runtime, async move {
                let turns = Arc::new(Semaphore::new(AT_A_TIME));
                let scratch = Rc::new(RefCell::new(vec![0; 256 * 1024]));
                let mut joining = Vec::new();
                for topic in topics {
                    let (turn, scratch) =
                        (Arc::clone(&turns).acquire_owned().await.unwrap(), Rc::clone(&scratch));
                    let seen = Arc::clone(&shared);
                    joining.push(tokio::task::spawn_local(async move {
                        let joined = Socket::join(address, kind, &topic, look, scratch, seen).await;
                        drop(turn);
                        joined
                    }));
                }
                let mut sockets = Vec::new();
                for socket in joining {
                    match socket.await.unwrap() {
                        Ok(socket) => sockets.push(socket),
                        Err(refusal) => return drop(ready.send(Err(refusal))),
                    }
                }
                for socket in sockets {
                    tokio::task::spawn_local(socket.run());
                }
                let _ = ready.send(Ok(()));
                let _ = closing.recv().await;
            });
        });
        let crowd = Self { seen, close: Some(close), thread: Some(thread) };
        joined.await.expect("the crowd's thread")?;
        Ok(crowd)
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.close.take();
        let _ = self.thread.take().map(std::thread::JoinHandle::join);
    }
}

/// What stands before a row's number.
const RECORD: &[u8] = b"\"record\":{\"id\":";

struct Socket {
    stream: TcpStream,
    kind: Kind,
    look: Look,
    scratch: Rc<RefCell<Vec<u8>>>,
    seen: Arc<Seen>,
    /// The beginning of a frame.
    tail: Vec<u8>,
    /// The row that has to come next.
    next: Option<i64>,
}

impl Socket {
    async fn join(
        address: SocketAddr,
        kind: Kind,
        topic: &str,
        look: Look,
        scratch: Rc<RefCell<Vec<u8>>>,
        seen: Arc<Seen>,
    ) -> Result<Self, String> {
        let mut stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
        stream.set_nodelay(true).unwrap();
        let offer = match look {
            Look::Deflated => "Sec-WebSocket-Extensions: permessage-deflate\r\n",
            _ => "",
        };
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{offer}\r\n",
            kind.path()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut socket = Self { stream, kind, look, scratch, seen, tail: Vec::new(), next: None };
        let head = loop {
            if let Some(end) = memmem::find(&socket.tail, b"\r\n\r\n") {
                break socket.tail.drain(..end + 4).collect::<Vec<u8>>();
            }
            socket.more().await;
        };
        assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
        match kind {
            Kind::Walcast => {
                let join = format!("[\"1\",\"1\",\"{topic}\",\"phx_join\",{{\"frames\":\"type\"}}]");
                socket.send(&join);
                let reply = socket.message().await;
                if memmem::find(&reply, b"\"status\":\"ok\"").is_none() {
                    return Err(String::from_utf8_lossy(&reply).into_owned());
                }
            }
            Kind::SocketIo => {
                assert!(socket.message().await.starts_with(b"0{"), "the transport opens");
                socket.send("40");
                assert!(socket.message().await.starts_with(b"40{"), "the namespace is joined");
            }
            Kind::Tuned | Kind::Ws | Kind::Bare => {}
        }
        Ok(socket)
    }

    /// Reads once, behind what is there.
    async fn more(&mut self) {
        self.stream.readable().await.unwrap();
        match self.stream.try_read_buf(&mut self.tail) {
            Ok(0) => panic!("closed: {}", String::from_utf8_lossy(&self.tail)),
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
        }
    }

    /// The next message while joining.
    async fn message(&mut self) -> Vec<u8> {
        loop {
            if let Some((header, length, _)) = head(&self.tail)
                && self.tail.len() >= header + length
            {
                return self.tail.drain(..header + length).skip(header).collect();
            }
            self.more().await;
        }
    }

    /// Sends a short text frame, masked with zeros (RFC 6455, section 5.3).
    fn send(&self, text: &str) {
        let mut frame = vec![0x81, 0xFE];
        frame.extend_from_slice(&u16::try_from(text.len()).unwrap().to_be_bytes());
        frame.extend_from_slice(&[0; 4]);
        frame.extend_from_slice(text.as_bytes());
        assert_eq!(self.stream.try_write(&frame).unwrap(), frame.len());
    }

    async fn run(mut self) {
        let scratch = Rc::clone(&self.scratch);
        // A read that fills less than the buffer tells the runtime that there is no more, without another system call.
        while let Ok(count @ 1..) = poll_fn(|context| {
            let mut scratch = scratch.borrow_mut();
            let mut buffer = ReadBuf::new(&mut scratch);
            let polled = Pin::new(&mut self.stream).poll_read(context, &mut buffer);
            polled.map_ok(|()| buffer.filled().len())
        })
        .await
        {
            self.heard(&scratch.borrow()[..count]);
        }
        self.seen.closed.fetch_add(1, Ordering::Relaxed);
    }

    const fn counts(&self) -> bool {
        matches!(self.look, Look::Count | Look::Deflated)
    }

    fn heard(&mut self, bytes: &[u8]) {
        if self.counts() {
            self.seen.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        }
        let mut joined = std::mem::take(&mut self.tail);
        let mut rest = bytes;
        if !joined.is_empty() {
            joined.extend_from_slice(bytes);
            rest = &joined;
        }
        let now = now();
        let mut rows = 0;
        while let Some((header, length, opcode)) = head(rest)
            && rest.len() >= header + length
        {
            let payload = &rest[header..header + length];
            if opcode == 1 {
                rows += u64::from(self.text(payload, now));
            }
            rest = &rest[header + length..];
        }
        self.tail = rest.to_vec();
        if rows > 0 {
            self.seen.last.fetch_max(now, Ordering::Relaxed);
            self.seen.rows.fetch_add(rows, Ordering::Release);
        }
    }

    /// One message; whether it is a row.
    fn text(&mut self, payload: &[u8], now: i64) -> bool {
        if self.counts() {
            return true;
        }
        if self.kind == Kind::SocketIo && payload == b"2" {
            self.send("3");
            return false;
        }
        let Some(record) = memmem::rfind(payload, RECORD) else { return false };
        let (id, rest) = number(&payload[record + RECORD.len()..]);
        let faults = self.next.map_or(0, |next| next.abs_diff(id));
        self.next = Some(id + 1);
        if faults > 0 {
            self.seen.faults.fetch_add(faults, Ordering::Relaxed);
        }
        if self.look == Look::Time {
            let (at, _) = number(rest.strip_prefix(b",\"at\":").expect("the time of the row"));
            self.seen.latencies.lock().unwrap().push((now - at) as f64 / 1e3);
        }
        true
    }
}

/// The number at the start, and what follows it.
fn number(text: &[u8]) -> (i64, &[u8]) {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let value = text[..digits].iter().fold(0, |value, digit| value * 10 + i64::from(digit - b'0'));
    (value, &text[digits..])
}

/// Of the frame at the start: header length, payload length, opcode.
fn head(bytes: &[u8]) -> Option<(usize, usize, u8)> {
    let (opcode, short) = (bytes.first()? & 15, *bytes.get(1)?);
    Some(match short {
        126 => (4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)), opcode),
        127 => (10, usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?, opcode),
        length => (2, usize::from(length), opcode),
    })
}
