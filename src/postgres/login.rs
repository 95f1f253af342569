//! Where the database is, as whom we log in, and what protects the way there.

use std::str::FromStr;

use tokio_postgres::config::{Host, SslMode as ConfigSslMode};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config, Connection, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::PostgresError;
use super::tls::{SslMode, Tls};

/// An address with its login.
#[derive(Clone)]
pub struct Login {
    config: Config,
    tls: Tls,
}

/// A connection's task: it ends with its client.
pub(super) type Task = Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>;

impl Login {
    /// `config`, reached with `tls`; on a Unix-domain socket there is none (PostgreSQL manual, 34.1.2, on `sslmode`).
    #[must_use]
    pub fn new(mut config: Config, mut tls: Tls) -> Self {
        if matches!(config.get_hosts(), [Host::Unix(_)]) && config.get_hostaddrs().is_empty() {
            tls.mode = SslMode::Disable;
        }
        config.ssl_mode(match tls.mode {
            SslMode::Disable => ConfigSslMode::Disable,
            SslMode::Prefer => ConfigSslMode::Prefer,
            SslMode::Require | SslMode::VerifyFull => ConfigSslMode::Require,
        });
        Self { config, tls }
    }

    /// The address and the login.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// The same with other words in the address, such as `application_name`.
    #[must_use]
    pub fn with(&self, change: impl FnOnce(&mut Config)) -> Self {
        let mut changed = self.clone();
        change(&mut changed.config);
        changed
    }

    /// The same with further `options`, which win over those there are.
    #[must_use]
    pub fn with_options(&self, options: &str) -> Self {
        let own = self.config.get_options().unwrap_or_default().to_owned();
        self.with(|config| {
            config.options(format!("{own} {options}"));
        })
    }

    /// The same for sessions whose role, from their beginning on, is `role`: no statement has to set it, and RESET
    /// comes back to it.
    #[must_use]
    pub fn as_role(&self, role: Option<&str>) -> Self {
        let Some(role) = role else { return self.clone() };
        // Blanks end an option, and a backslash takes their meaning (PostgreSQL manual, 34.1.2 on `options`).
        let escaped = role.chars().fold(String::new(), |mut text, letter| {
            if letter.is_ascii_whitespace() || letter == '\x0b' || letter == '\\' {
                text.push('\\');
            }
            text.push(letter);
            text
        });
        self.with_options(&format!("-c role={escaped}"))
    }

    /// Where a replication session connects to.
    #[must_use]
    pub fn endpoint(&self) -> (String, u16) {
        let host = match (self.config.get_hostaddrs().first(), self.config.get_hosts().first()) {
            (Some(address), _) => address.to_string(),
            (None, Some(Host::Unix(path))) => path.to_string_lossy().into_owned(),
            (None, _) => self.name(),
        };
        (host, self.config.get_ports().first().copied().unwrap_or(5432))
    }

    /// What a replication session does about TLS.
    #[must_use]
    pub fn replication_tls(&self) -> pgwire_replication::TlsConfig {
        self.tls.replication(&self.name())
    }

    /// A connector for what goes the same way, such as the wish to cancel a statement.
    ///
    /// # Errors
    /// When TLS cannot be had as demanded.
    pub fn connector(&self) -> Result<MakeRustlsConnect, PostgresError> {
        Ok(self.tls.connector()?)
    }

    /// Connects and logs in.
    ///
    /// # Errors
    /// When the database cannot be reached, TLS cannot be had as demanded, or the login is refused.
    pub(super) async fn connect(
        &self,
        connector: MakeRustlsConnect,
    ) -> Result<(Client, Task), PostgresError> {
        self.config.connect(connector).await.map_err(|error| match self.tls.fault(&error, &self.name()) {
            Some(fault) => PostgresError::Tls(fault),
            None => PostgresError::Connect(error),
        })
    }

    /// The name of which the server's certificate must speak.
    fn name(&self) -> String {
        match self.config.get_hosts().first() {
            Some(Host::Tcp(host)) => host.clone(),
            _ => "localhost".to_owned(),
        }
    }
}

/// Without TLS.
impl From<Config> for Login {
    fn from(config: Config) -> Self {
        Self::new(config, Tls::disabled())
    }
}

/// What tokio-postgres understands of an address, without TLS.
impl FromStr for Login {
    type Err = tokio_postgres::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse::<Config>().map(Self::from)
    }
}
