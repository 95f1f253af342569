//! Clients that vanish without a word, or no longer read.
//!
//! A WebSocket is asked whether it is there, and its outbox shows whether it reads. Over HTTP there is nothing to ask, and
//! hyper writes when the socket can be written, so that here the system is told to look: otherwise what is sent to a client
//! whose network is gone is repeated for a quarter of an hour, a connection on which nothing is sent lives for two hours,
//! and one whose client does not read for ever.

use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// Lets the system end the connection when for so long the other end has acknowledged nothing that was sent, or had no room
/// for what waits (`TCP_USER_TIMEOUT`, tcp(7)), and asks it when nothing is sent. Linux counts the second from when room was
/// first short until a whole segment of its own, of up to 64 KiB, has found room: who reads that much in this time is left
/// alone. One with a smaller receive buffer that is full all the while is not, so `time` has to be generous: who could not
/// keep up for minutes comes back with its cursor.
pub(super) fn bound(stream: &TcpStream, time: Duration) {
    let socket = SockRef::from(stream);
    let ask = TcpKeepalive::new().with_time(whole(time / 2)).with_interval(whole(time / 4));
    // A connection that is ending already takes no options, and needs none.
    let _ = socket.set_tcp_keepalive(&ask);
    #[cfg(target_os = "linux")]
    let _ = socket.set_tcp_user_timeout(Some(time));
}

/// Takes that back, for a socket that has rules of its own.
pub(super) fn unbound(stream: &TcpStream) {
    let socket = SockRef::from(stream);
    let _ = socket.set_keepalive(false);
    #[cfg(target_os = "linux")]
    let _ = socket.set_tcp_user_timeout(None);
}

/// The system counts these in whole seconds.
fn whole(time: Duration) -> Duration {
    time.max(Duration::from_secs(1))
}
