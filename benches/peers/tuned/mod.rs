//! The peer that does nothing but fan out: rows from LISTEN/NOTIFY to every socket, by tokio-tungstenite.
//!
//! It has what a careful hand would give such a server: one shared text for all sockets, a bounded queue for each, a small
//! buffer to read into, no Nagle; all that waits for a socket is framed into one buffer and written with one system call. Prints its address in one line.

use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use futures_util::{FutureExt, SinkExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio_postgres::{AsyncMessage, NoTls};
use tokio_tungstenite::accept_async_with_config;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

/// Rows that may wait for one socket; one that is further behind is let go.
const QUEUE: usize = 4096;

/// Runs until it is killed.
pub fn serve(database: &str) {
    tokio::runtime::Runtime::new().expect("a runtime").block_on(async {
        let (rows, _) = broadcast::channel(QUEUE);
        let (client, mut connection) = tokio_postgres::connect(database, NoTls).await.expect("Postgres");
        let heard = rows.clone();
        tokio::spawn(async move {
            let mut messages = stream::poll_fn(move |context| connection.poll_message(context));
            while let Some(Ok(message)) = messages.next().await {
                if let AsyncMessage::Notification(notification) = message {
                    // Nobody may be there.
                    let _ = heard.send(Utf8Bytes::from(notification.payload()));
                }
            }
        });
        client.batch_execute("listen fanout").await.expect("listen");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        println!("{}", listener.local_addr().expect("an address"));
        loop {
            match listener.accept().await {
                Ok((stream, _)) => drop(tokio::spawn(socket(stream, rows.subscribe()))),
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    });
}

async fn socket(stream: TcpStream, mut rows: broadcast::Receiver<Utf8Bytes>) {
    let _ = stream.set_nodelay(true);
    let config = WebSocketConfig::default().read_buffer_size(512);
    let Ok(mut socket) = accept_async_with_config(stream, Some(config)).await else { return };
    loop {
        tokio::select! {
            row = rows.recv() => {
                let mut next = Some(row);
                while let Some(row) = next {
                    match row {
                        Ok(text) => if socket.feed(Message::Text(text)).await.is_err() { return },
                        Err(RecvError::Lagged(_) | RecvError::Closed) => return,
                    }
                    next = rows.recv().now_or_never();
                }
                if socket.flush().await.is_err() {
                    return;
                }
            }
            said = socket.next() => if !matches!(said, Some(Ok(_))) { return },
        }
    }
}
