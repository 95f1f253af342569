//! `wal_sender_timeout`: the server hears from us often enough, whatever we are busy with.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::net::TcpSocket;

use crate::slot::{Slot, id, written};
use crate::socket::Socket;
use crate::walcast::Walcast;
use crate::{cluster, postgres_binaries};

#[tokio::test]
async fn a_short_sender_timeout_is_kept_idle_and_while_a_client_stalls_the_dispatcher() {
    for &major in postgres_binaries::majors() {
        let database = cluster::shared(major).database().await;
        let client = database.connect().await;
        client
            .batch_execute(&format!(
                "alter database {} set wal_sender_timeout = '2s'; create table t (id int primary key, v text)",
                database.name()
            ))
            .await
            .unwrap();
        let slot = Slot::new(database.connect().await);
        // The longest pause that the settings allow, so that the dispatcher stands still for long.
        let settings = [
            ("WALCAST__REPLICATION__SLOT", slot.name.as_str()),
            ("WALCAST__OUTBOX__PAUSE_MS", "10000"),
            ("WALCAST__OUTBOX__BYTES", "65536"),
            ("WALCAST__WINDOW__BYTES", "0"),
        ];
        let walcast = Walcast::serve(&database, &settings).await;
        let reader = slot.walsender().await;
        let idle = Instant::now();
        while idle.elapsed() < Duration::from_secs(5) {
            assert_eq!(slot.walsender().await, reader, "dropped while idle:\n{}", walcast.log());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }

        let lazy = TcpSocket::new_v4().unwrap();
        lazy.set_recv_buffer_size(8192).unwrap();
        let mut lazy =
            Socket::over(lazy.connect(walcast.address()).await.unwrap(), "/socket/websocket?vsn=2.0.0").await;
        lazy.joined("realtime:public:t", json!({"frames": "type"})).await;
        let insert = "insert into t select i, repeat('x', 1900) from generate_series(1, 20000) i";
        client.batch_execute(insert).await.unwrap();
        let end = written(&client).await;
        let stalled = Instant::now();
        while stalled.elapsed() < Duration::from_secs(6) {
            assert_eq!(slot.walsender().await, reader, "dropped while stalled:\n{}", walcast.log());
            assert!(slot.confirmed().await < end, "acknowledged before it was told");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        // It reads on; then it leaves, and holds nobody up any more.
        let told = lazy.changes(200).await;
        assert!(told.iter().map(id).eq(1..=200));
        drop(lazy);
        slot.wait_for_confirmed(end).await;
        assert_eq!(slot.walsender().await, reader, "{}", walcast.log());
    }
}
