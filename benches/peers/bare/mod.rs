//! The floor: the same rows by the least that can be done, which is one `send` for each socket.
//!
//! One thread; frames are written once, whole, and shared. No limits, no channels, nobody is heard or pinged, and whoever
//! does not read is waited for without a bound. What this costs is what the kernel asks. Prints its address in one line.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{ErrorKind, Result};
use std::rc::Rc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use futures_util::FutureExt;
use futures_util::stream::{self, StreamExt};
use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::LocalSet;
use tokio_postgres::{AsyncMessage, NoTls};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

struct Socket {
    stream: TcpStream,
    backlog: RefCell<VecDeque<Bytes>>,
    filled: Notify,
    closed: Cell<bool>,
}

type Sockets = Rc<RefCell<Vec<Rc<Socket>>>>;

/// Runs until it is killed.
pub fn serve(database: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    LocalSet::new().block_on(&runtime, async {
        let (client, mut connection) = tokio_postgres::connect(database, NoTls).await.expect("Postgres");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let sockets = Sockets::default();
        let address = listener.local_addr().expect("an address");
        tokio::task::spawn_local(accept(listener, Rc::clone(&sockets)));
        let mut messages = stream::poll_fn(move |context| connection.poll_message(context)).boxed_local();
        let (_, first) = tokio::join!(client.batch_execute("listen fanout"), async {
            println!("{address}");
            messages.next().await
        });
        let mut next = first;
        while let Some(Ok(message)) = next {
            let mut frames = BytesMut::new();
            write(&mut frames, &message);
            // What is there already goes with it.
            while let Some(Some(Ok(message))) = messages.next().now_or_never() {
                write(&mut frames, &message);
            }
            send(&mut sockets.borrow_mut(), &frames.freeze());
            next = messages.next().await;
        }
    });
}

/// A text frame (RFC 6455, section 5.2); the rows of this benchmark are longer than 125 bytes and shorter than 64 KiB.
fn write(frames: &mut BytesMut, message: &AsyncMessage) {
    let AsyncMessage::Notification(notification) = message else { return };
    let payload = notification.payload().as_bytes();
    frames.extend_from_slice(&[0x81, 126]);
    frames.extend_from_slice(&u16::try_from(payload.len()).expect("a short row").to_be_bytes());
    frames.extend_from_slice(payload);
}

fn send(sockets: &mut Vec<Rc<Socket>>, frames: &Bytes) {
    sockets.retain(|socket| !socket.closed.get());
    for socket in sockets {
        let mut backlog = socket.backlog.borrow_mut();
        let written =
            if backlog.is_empty() { socket.stream.try_write(frames).unwrap_or_default() } else { 0 };
        if written < frames.len() {
            backlog.push_back(frames.slice(written..));
            socket.filled.notify_one();
        }
    }
}

async fn accept(listener: TcpListener, sockets: Sockets) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::task::spawn_local(serve_socket(stream, Rc::clone(&sockets)))),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn serve_socket(mut stream: TcpStream, sockets: Sockets) -> Option<()> {
    const KEY: &[u8] = b"Sec-WebSocket-Key: ";
    stream.set_nodelay(true).ok()?;
    let mut head = Vec::with_capacity(512);
    while memmem::find(&head, b"\r\n\r\n").is_none() {
        if stream.read_buf(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    let key = head.get(memmem::find(&head, KEY)? + KEY.len()..)?.split(|byte| *byte == b'\r').next()?;
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {}\r\n\r\n",
        derive_accept_key(key)
    );
    stream.write_all(answer.as_bytes()).await.ok()?;
    let (backlog, filled, closed) = (RefCell::default(), Notify::new(), Cell::new(false));
    let socket = Rc::new(Socket { stream, backlog, filled, closed });
    sockets.borrow_mut().push(Rc::clone(&socket));
    loop {
        let waits = !socket.backlog.borrow().is_empty();
        let ended = tokio::select! {
            () = socket.filled.notified() => false,
            writable = socket.stream.writable(), if waits => writable.is_err() || socket.flush().is_err(),
            readable = socket.stream.readable() => readable.is_err() || socket.swallow().is_err(),
        };
        if ended {
            socket.closed.set(true);
            return None;
        }
    }
}

impl Socket {
    fn flush(&self) -> Result<()> {
        let mut backlog = self.backlog.borrow_mut();
        while let Some(first) = backlog.front_mut() {
            match self.stream.try_write(first) {
                Ok(written) => first.advance(written),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
            if first.is_empty() {
                backlog.pop_front();
            }
        }
        Ok(())
    }

    fn swallow(&self) -> Result<()> {
        match self.stream.try_read(&mut [0; 512]) {
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            _ => Ok(()),
        }
    }
}
