//! One ordinary SQL session, shared and made again when it breaks.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, Config, NoTls};

use super::PostgresError;

/// How long a connection may take, in seconds; also for the replication session.
pub const CONNECT_SECONDS: u64 = 10;

/// The output of a value must not depend on what the role or the database was set to (`ALTER ROLE .. SET`),
/// since filters compare it and clients read it.
pub const PINNED_OUTPUT: &str = "-c datestyle=ISO -c intervalstyle=postgres -c timezone=UTC -c bytea_output=hex \
                                 -c extra_float_digits=1";

/// `config` for sessions whose role, from their beginning on, is `role`: no statement has to set it, and RESET comes
/// back to it.
#[must_use]
pub fn as_role(config: &Config, role: Option<&str>) -> Config {
    let mut config = config.clone();
    if let Some(role) = role {
        let own = config.get_options().unwrap_or_default();
        // Blanks end an option, and a backslash takes their meaning (PostgreSQL manual, 34.1.2 on `options`).
        let escaped = role.chars().fold(String::new(), |mut text, letter| {
            if letter.is_ascii_whitespace() || letter == '\x0b' || letter == '\\' {
                text.push('\\');
            }
            text.push(letter);
            text
        });
        let options = format!("{own} -c role={escaped}");
        config.options(options);
    }
    config
}

/// A handle to the session; clones share it.
#[derive(Clone)]
pub struct Session {
    config: Arc<Config>,
    client: Arc<Mutex<Option<Arc<Client>>>>,
}

impl Session {
    /// A session to `config`, called `name` in `pg_stat_activity`; nothing is connected yet.
    #[must_use]
    pub fn new(config: &Config, name: &str) -> Self {
        let mut config = config.clone();
        let own = config.get_options().unwrap_or_default().to_owned();
        // Ours come last, so that they win.
        config
            .options(format!("{own} {PINNED_OUTPUT} -c statement_timeout=15s"))
            .application_name(name)
            .ssl_mode(SslMode::Disable)
            .connect_timeout(Duration::from_secs(CONNECT_SECONDS))
            .keepalives_idle(Duration::from_secs(30));
        Self { config: Arc::new(config), client: Arc::default() }
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
        let connecting = self.config.connect(NoTls);
        let (client, connection) = tokio::time::timeout(Duration::from_secs(CONNECT_SECONDS), connecting)
            .await
            .map_err(|_| PostgresError::Timeout {
                what: "connecting to the database",
                seconds: CONNECT_SECONDS,
            })?
            .map_err(PostgresError::Connect)?;
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
