//! A connection that has said nothing yet. Most become sockets, so it is heard on the thread that will own it: a
//! handshake that is answered elsewhere costs a wake-up, and a registration with a second runtime.

use std::fmt;
use std::future::poll_fn;
use std::io::ErrorKind;
use std::net::TcpStream;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::ReadBuf;
use tokio::sync::watch;

use super::shard::Shard;
use super::{Agreed, Newcomer, Place, Seat};

/// Knows what a client wants by the first that it says.
pub trait Reception: Send + Sync {
    /// The answer to what has come so far, if that is a whole handshake which is accepted.
    fn greet(&self, head: &[u8]) -> Option<Greeting>;

    /// Takes everything else: a connection of which nothing was read, in non-blocking mode.
    fn refer(&self, stream: TcpStream);
}

/// A handshake that is accepted.
#[derive(Debug)]
pub struct Greeting {
    /// The length of its head in bytes.
    pub length: usize,
    /// What is answered, whole.
    pub answer: Bytes,
    /// How both talk.
    pub agreed: Agreed,
    /// Its place.
    pub seat: Seat,
}

/// A connection that was accepted a moment ago, and who receives it.
#[derive(Clone)]
pub struct Receiver {
    /// Who answers it.
    pub reception: Arc<dyn Reception>,
    /// A client that says nothing for so long is let go.
    pub patience: Duration,
    /// True once the server stops: then so is everybody who has said nothing.
    pub stop: watch::Receiver<bool>,
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").finish_non_exhaustive()
    }
}

/// What a shard is handed of it.
#[derive(Debug)]
pub(super) struct Arrival<Stream> {
    pub(super) stream: Stream,
    pub(super) receiver: Receiver,
    pub(super) place: Place,
}

impl Arrival<TcpStream> {
    /// The same, known to this thread's runtime.
    pub(super) fn registered(self) -> Option<Arrival<tokio::net::TcpStream>> {
        let Self { stream, receiver, place } = self;
        let stream = tokio::net::TcpStream::from_std(stream).ok()?;
        Some(Arrival { stream, receiver, place })
    }
}

impl Arrival<tokio::net::TcpStream> {
    /// Waits for what the client says; returns the socket if it is one.
    pub(super) async fn receive(self, shard: &Shard) -> Option<Newcomer<tokio::net::TcpStream>> {
        let Self { stream, receiver: Receiver { reception, patience, mut stop }, place } = self;
        let greeting = tokio::select! {
            // What was asked before the server stops is answered.
            biased;
            greeting = tokio::time::timeout(patience, greeting(shard, &stream, &*reception)) => greeting.ok()?,
            _ = stop.wait_for(|stop| *stop) => return None,
        };
        match greeting {
            ControlFlow::Break(()) => None,
            ControlFlow::Continue(None) => {
                reception.refer(stream.into_std().ok()?);
                None
            }
            ControlFlow::Continue(Some(Greeting { length, answer, agreed, seat })) => {
                let mut scratch = shard.scratch.borrow_mut();
                let seen = stream.try_read(&mut scratch).ok()?;
                let early = Bytes::copy_from_slice(scratch.get(length..seen)?);
                Some(Newcomer { stream, answer, early, agreed, seat, place })
            }
        }
    }
}

impl Newcomer<TcpStream> {
    /// The same, known to this thread's runtime.
    pub(super) fn registered(self) -> Option<Newcomer<tokio::net::TcpStream>> {
        let Self { stream, answer, early, agreed, seat, place } = self;
        let stream = tokio::net::TcpStream::from_std(stream).ok()?;
        Some(Newcomer { stream, answer, early, agreed, seat, place })
    }
}

/// What the reception says to the first bytes, which stay unread; breaks where none will come.
async fn greeting(
    shard: &Shard,
    stream: &tokio::net::TcpStream,
    reception: &dyn Reception,
) -> ControlFlow<(), Option<Greeting>> {
    poll_fn(|context| {
        let mut scratch = shard.scratch.borrow_mut();
        let mut head = ReadBuf::new(&mut scratch);
        match ready!(stream.poll_peek(context, &mut head)) {
            Ok(1..) => Poll::Ready(ControlFlow::Continue(reception.greet(head.filled()))),
            Err(error) if error.kind() == ErrorKind::Interrupted => {
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Ok(0) | Err(_) => Poll::Ready(ControlFlow::Break(())),
        }
    })
    .await
}
