//! One ordinary SQL session, shared and made again when it breaks.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio_postgres::Client;

use super::{Login, PostgresError};

/// How long a connection may take, in seconds; also for the replication session.
pub const CONNECT_SECONDS: u64 = 10;

/// The output of a value must not depend on what the role or the database was set to (`ALTER ROLE .. SET`),
/// since filters compare it and clients read it.
pub const PINNED_OUTPUT: &str = "-c datestyle=ISO -c intervalstyle=postgres -c timezone=UTC -c bytea_output=hex \
                                 -c extra_float_digits=1";

/// A handle to the session; clones share it.
#[derive(Clone)]
pub struct Session {
    login: Arc<Login>,
    client: Arc<Mutex<Option<Arc<Client>>>>,
}

impl Session {
    /// A session to `login`, called `name` in `pg_stat_activity`; nothing is connected yet.
    #[must_use]
    pub fn new(login: &Login, name: &str) -> Self {
        // Should packets vanish in a transaction, the server would keep its locks and its snapshot until TCP gives up.
        let limits = "-c statement_timeout=15s -c idle_in_transaction_session_timeout=30s";
        let login = login.with_options(&format!("{PINNED_OUTPUT} {limits}")).with(|config| {
            config
                .application_name(name)
                .connect_timeout(Duration::from_secs(CONNECT_SECONDS))
                .keepalives_idle(Duration::from_secs(30));
        });
        Self { login: Arc::new(login), client: Arc::default() }
    }

    /// A connected client; connects when there is none or the last one is gone.
    ///
    /// # Errors
    /// When the database cannot be reached or refuses the login.
    pub async fn client(&self) -> Result<Arc<Client>, PostgresError> {
        let mut slot = self.client.lock().await;
        if let Some(client) = slot.as_ref().filter(|client| !client.is_closed()) {
            return Ok(Arc::clone(client));
        }
        let connecting = self.login.connect(self.login.connector()?);
        let (client, connection) =
            tokio::time::timeout(Duration::from_secs(CONNECT_SECONDS), connecting).await.map_err(
                |_| PostgresError::Timeout { what: "connecting to the database", seconds: CONNECT_SECONDS },
            )??;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "the SQL session ended");
            }
        });
        let client = Arc::new(client);
        *slot = Some(Arc::clone(&client));
        Ok(client)
    }

    /// Lets go of the client there is, so that the next call connects: a connection whose other end vanished
    /// without a word looks alive, and its queries are never answered.
    pub async fn discard(&self) {
        self.client.lock().await.take();
    }
}
