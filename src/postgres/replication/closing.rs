//! How a session ends in order.

use std::time::Duration;

use pgwire_replication::ReplicationClient;

use super::Reader;
use crate::lsn::{Epoch, Lsn};
use crate::postgres::setup::slot;

/// How long a stop waits for the last acknowledgement to be sent.
const LAST_ACKNOWLEDGEMENT: Duration = Duration::from_secs(3);

impl Reader {
    /// Ends in order: sockets first, then the last acknowledgement, and only then the session. Stopping the
    /// crate's client does not send what is pending; and were the connection closed as soon as it is sent, with
    /// changes unread, the system would reset it, and the server might never read the acknowledgement. So this
    /// waits until the slot shows it.
    pub(super) async fn close(&self, client: &mut ReplicationClient, epoch: Epoch) {
        self.inlet.finish().await;
        let last = self.watches.progress.borrow().acknowledged(epoch);
        client.update_applied_lsn(pgwire_replication::Lsn::from_u64(last.0));
        let arrived = self.arrived(client, last);
        if !tokio::time::timeout(LAST_ACKNOWLEDGEMENT, arrived).await.unwrap_or(false) {
            tracing::warn!("the last acknowledgement may not have arrived; those changes will come again");
        }
        let _ = tokio::time::timeout(LAST_ACKNOWLEDGEMENT, client.shutdown()).await;
    }

    /// Waits until the slot is confirmed up to `last`; `false` when that can no longer be.
    async fn arrived(&self, client: &mut ReplicationClient, last: Lsn) -> bool {
        loop {
            // Changes that still arrive are dropped: they come again to whoever reads the slot next.
            let dropping = async { while let Ok(Some(_)) = client.recv().await {} };
            if tokio::time::timeout(Duration::from_millis(20), dropping).await.is_ok() {
                return false;
            }
            if client.metrics().last_applied_lsn().as_u64() < last.0 {
                continue;
            }
            match slot::confirmed(&self.session, &self.source.slot).await {
                Ok(Some(confirmed)) if confirmed >= last => return true,
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => return false,
            }
        }
    }
}
