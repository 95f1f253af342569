//! The same client, of which the table comes with the join.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use walcast::lsn::Cursor;

use super::{Session, apply, row, text};

/// How long the next part may take: pages wait for their turn, and for a database that was paused.
const PART: Duration = Duration::from_secs(20);

impl Session {
    /// Reads rows and what they do not contain. Only the whole of it counts: who is cut goes on with what it held before.
    pub(super) async fn snapshot(&self, socket: &mut WebSocketStream<TcpStream>) -> Option<()> {
        let (mut table, mut last) = (BTreeMap::new(), Cursor::default());
        loop {
            self.listens().await;
            let frame = tokio::time::timeout(PART, text(socket)).await.ok()??;
            let frame: Value = serde_json::from_str(&frame).unwrap();
            let (event, payload) = (frame[3].as_str().unwrap(), &frame[4]);
            match event {
                "snapshot" => {
                    for record in payload["records"].as_array().unwrap() {
                        let (id, row) = row(record);
                        assert!(
                            table.insert(id, row).is_none(),
                            "{} twice in a snapshot of {}",
                            id,
                            self.topic
                        );
                    }
                }
                "INSERT" | "UPDATE" | "DELETE" | "TRUNCATE" => {
                    let cursor = payload["cursor"].as_str().unwrap().parse().unwrap();
                    let mut account = self.account();
                    account.changes += 1;
                    account.disordered += u64::from(cursor <= last);
                    last = cursor;
                    apply(&mut table, event, payload);
                }
                "snapshot_end" => {
                    assert_eq!(payload["complete"], true, "{payload}");
                    let position = payload["position"].as_str().unwrap().parse().unwrap();
                    assert!(last <= position, "{last} was told in a snapshot that ends at {position}");
                    let mut account = self.account();
                    account.snapshots += 1;
                    account.begin(position, payload["epoch"].as_str().unwrap().to_owned(), Some(table));
                    return Some(());
                }
                "snapshot_error" => self.account().refused = payload["reason"].to_string(),
                "phx_error" | "phx_close" => {
                    self.account().interrupted += 1;
                    return None;
                }
                _ => {}
            }
        }
    }
}
