//! Where the database is and how to log in to it.

use std::fmt;
use std::net::Ipv6Addr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;
use tokio_postgres::Config;
use tokio_postgres::config::{ChannelBinding, Host as ConfigHost, SslNegotiation};

use super::secret::Secret;
use crate::postgres::Login;
use crate::postgres::tls::Tls;

mod parameters;

pub(super) use parameters::TlsParameters;

/// How long a connection attempt may take when `connect_timeout` is not given; libpq would wait for ever.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The address of one Postgres server and the login, parsed from a URL or from libpq's `key=value` form
/// (`PostgreSQL` manual, 34.1.1 Connection Strings). Printing it leaves the password out.
#[derive(Clone)]
pub struct Database {
    /// The server; `localhost` when the text names none.
    pub host: Host,
    /// The TCP port, or the number in the socket file's name; 5432 when the text names none.
    pub port: u16,
    /// The role to log in as.
    pub user: String,
    /// The password, if the text has one.
    pub password: Option<Secret>,
    /// The database; the user's name when the text names none, as libpq does it.
    pub dbname: String,
    /// What the text, or settings beside it, say about TLS.
    pub tls: Tls,
    /// How long one connection attempt may take; 10 s when the text does not say.
    pub connect_timeout: Duration,
    config: Config,
    /// What the text itself says about TLS.
    parameters: TlsParameters,
}

/// A server's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// A host name or IP address.
    Tcp(String),
    /// The directory of a Unix-domain socket.
    Unix(PathBuf),
}

/// Why a text is no usable database address. No variant repeats a part of the text where a password
/// could stand.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum DatabaseError {
    /// Neither a URL nor `key=value` pairs.
    #[error("is neither a postgres:// URL nor a list of key=value pairs")]
    Syntax,
    /// The text still carries the quotes of a shell or an env file.
    #[error("begins with a quotation mark, which belongs to the value here")]
    Quoted,
    /// A character that has a meaning of its own stands before or in the host.
    #[error(
        "has a character in user, password or host that must be percent-encoded there \
         (@ is %40, / is %2F, ? is %3F, : is %3A)"
    )]
    NotEncoded,
    /// A parameter whose value does not fit.
    #[error("has a value for {0} that does not fit")]
    Parameter(&'static str),
    /// A parameter that libpq or other clients know and walcast does not.
    #[error("has the parameter {0}, which is not supported")]
    Unsupported(&'static str),
    /// A parameter that nobody knows; its name is not repeated, as it may be a piece of a password.
    #[error(
        "has a parameter that is not known, or a blank or & in a value that must be quoted or percent-encoded"
    )]
    Unknown,
    /// A way of using TLS that cannot be had.
    #[error("asks for {0}, which is not supported; sslmode may be disable, prefer, require or verify-full")]
    Tls(&'static str),
    /// Authorities are given, but nobody would ask them.
    #[error("gives sslrootcert, but sslmode={0} checks no certificate; write sslmode=verify-full")]
    RootUnused(&'static str),
    /// A certificate without its key, or the other way round.
    #[error("gives only one of sslcert and sslkey, which belong together")]
    HalfIdentity,
    /// More than one server.
    #[error("names more than one host; walcast follows one server")]
    Hosts,
    /// A host that is no host.
    #[error("has an empty or malformed host")]
    Host,
    /// No user name.
    #[error("names no user")]
    User,
    /// A NUL or, in the password, bytes that are not UTF-8.
    #[error("has a NUL or bytes that are not UTF-8 in {0}")]
    Text(&'static str),
}

/// Parameters that are named in errors: what drivers and hosting companies put into URLs.
const NAMED: [&str; 27] = [
    "channel_binding",
    "client_encoding",
    "connect_timeout",
    "connection_limit",
    "currentSchema",
    "fallback_application_name",
    "gssencmode",
    "hostaddr",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "load_balance_hosts",
    "passfile",
    "pgbouncer",
    "pool_timeout",
    "port",
    "replication",
    "schema",
    "service",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslnegotiation",
    "sslrootcert",
    "target_session_attrs",
    "tcp_user_timeout",
];

impl Database {
    /// The settings for ordinary SQL connections, with everything that the text said, such as
    /// `application_name` and `options`.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// What all connections take.
    #[must_use]
    pub fn login(&self) -> Login {
        Login::new(self.config.clone(), self.tls.clone())
    }

    /// The same, where settings beside the text say something about TLS, too.
    ///
    /// # Errors
    /// When the two together contradict themselves.
    pub(super) fn overruled_by(self, settings: &TlsParameters) -> Result<Self, DatabaseError> {
        let parameters = self.parameters.overruled_by(settings);
        self.with_tls(parameters)
    }

    fn with_tls(mut self, parameters: TlsParameters) -> Result<Self, DatabaseError> {
        self.tls = parameters.tls()?;
        self.parameters = parameters;
        Ok(self)
    }

    /// Checks and completes what tokio-postgres parsed, or what older variables add up to.
    ///
    /// # Errors
    /// A [`DatabaseError`] for what is missing or cannot be had.
    pub fn from_config(mut config: Config) -> Result<Self, DatabaseError> {
        if config.get_ssl_negotiation() == SslNegotiation::Direct {
            return Err(DatabaseError::Tls("sslnegotiation=direct"));
        }
        if config.get_channel_binding() == ChannelBinding::Require {
            return Err(DatabaseError::Tls("channel_binding=require"));
        }
        let named = match config.get_hosts() {
            [] => None,
            [ConfigHost::Tcp(name)] if is_host(name) => Some(Host::Tcp(name.clone())),
            [ConfigHost::Unix(directory)] => Some(Host::Unix(directory.clone())),
            [ConfigHost::Tcp(name)] if name.contains('@') => return Err(DatabaseError::NotEncoded),
            [ConfigHost::Tcp(name)] if !name.contains(',') => return Err(DatabaseError::Host),
            _ => return Err(DatabaseError::Hosts),
        };
        // libpq connects to hostaddr and keeps host for certificates only.
        let host = match (config.get_hostaddrs(), named) {
            ([], Some(host)) => host,
            ([], None) => {
                config.host("localhost");
                Host::Tcp("localhost".to_owned())
            }
            ([address], named) => {
                let address = address.to_string();
                if named.is_none() {
                    config.host(&address);
                }
                Host::Tcp(address)
            }
            _ => return Err(DatabaseError::Hosts),
        };
        let port = match config.get_ports() {
            [] => 5432,
            [port] => *port,
            _ => return Err(DatabaseError::Hosts),
        };
        let user = config.get_user().filter(|user| !user.is_empty()).ok_or(DatabaseError::User)?.to_owned();
        let dbname = config.get_dbname().unwrap_or(&user).to_owned();
        let connect_timeout = config.get_connect_timeout().copied().unwrap_or(CONNECT_TIMEOUT);
        let password = config.get_password().map(|bytes| String::from_utf8(bytes.to_vec()));
        let password = password.transpose().map_err(|_| DatabaseError::Text("the password"))?;
        for (text, what) in [(&user, "the user"), (&dbname, "the database name")] {
            if text.contains('\0') {
                return Err(DatabaseError::Text(what));
            }
        }
        if password.as_ref().is_some_and(|text| text.contains('\0')) {
            return Err(DatabaseError::Text("the password"));
        }
        config.dbname(&dbname).connect_timeout(connect_timeout);
        let password = password.map(Secret::new);
        let (tls, parameters) = (Tls::default(), TlsParameters::default());
        Ok(Self { host, port, user, password, dbname, tls, connect_timeout, config, parameters })
    }
}

impl FromStr for Database {
    type Err = DatabaseError;

    fn from_str(text: &str) -> Result<Self, DatabaseError> {
        let text = text.trim();
        if text.starts_with(['"', '\'']) {
            return Err(DatabaseError::Quoted);
        }
        let url = ["postgres://", "postgresql://"].iter().find_map(|scheme| text.strip_prefix(scheme));
        // tokio-postgres takes all before the first @ for user and password. libpq stops at a slash; what
        // the two read differently is refused, lest a piece of a password is taken for a host and printed.
        let user = url.and_then(|rest| rest.split_once('@')).map(|(login, _)| login);
        if let Some(login) = user {
            let (user, _) = login.split_once(':').unwrap_or((login, ""));
            if login.contains('/') || user.contains('?') {
                return Err(DatabaseError::NotEncoded);
            }
        }
        let (parameters, text) = TlsParameters::take_from(text)?;
        let config = text.parse::<Config>().map_err(|error| fault(&error))?;
        Self::from_config(config)?.with_tls(parameters)
    }
}

/// tokio-postgres names what it does not understand only in the text of an error's source.
fn fault(error: &tokio_postgres::Error) -> DatabaseError {
    let text = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    let quoted = text.split('`').nth(1).unwrap_or_default();
    let known = NAMED.iter().find(|name| **name == quoted);
    if text.starts_with("unknown option") {
        known.map_or(DatabaseError::Unknown, |name| DatabaseError::Unsupported(name))
    } else if text.starts_with("invalid value for option") {
        known.map_or(DatabaseError::Host, |name| DatabaseError::Parameter(name))
    } else {
        DatabaseError::Syntax
    }
}

fn is_host(name: &str) -> bool {
    let letter = |c: char| c.is_alphanumeric() || matches!(c, '-' | '.' | '_');
    !name.is_empty() && name.chars().all(letter) || name.parse::<Ipv6Addr>().is_ok()
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(name) => f.write_str(name),
            Self::Unix(directory) => write!(f, "{}", directory.display()),
        }
    }
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "host={} port={} user={} dbname={}", self.host, self.port, self.user, self.dbname)
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("user", &self.user)
            .field("password", &self.password)
            .field("dbname", &self.dbname)
            .field("tls", &self.tls)
            .field("connect_timeout", &self.connect_timeout)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::tls::SslMode;

    fn parse(text: &str) -> Result<Database, DatabaseError> {
        text.parse()
    }

    #[test]
    fn both_of_libpqs_forms_name_the_same_database() {
        let url =
            parse("postgres://wal:p%40ss%2F%C3%A9@db.example:6432/app?connect_timeout=3&sslmode=disable");
        let pairs = parse(
            "host=db.example port=6432 user=wal password='p@ss/é' dbname=app connect_timeout=3 sslmode=disable",
        );
        for database in [url.unwrap(), pairs.unwrap()] {
            assert_eq!(database.to_string(), "host=db.example port=6432 user=wal dbname=app");
            assert_eq!(database.password.as_ref().unwrap().expose(), "p@ss/é");
            assert_eq!(
                (database.tls.mode, database.connect_timeout),
                (SslMode::Disable, Duration::from_secs(3))
            );
        }
    }

    #[test]
    fn what_is_left_out_has_the_documented_value_for_both_clients() {
        let database = parse("\n postgresql://wal@/?application_name=feed \n").unwrap();
        assert_eq!(database.to_string(), "host=localhost port=5432 user=wal dbname=wal");
        assert_eq!((database.tls.mode, database.connect_timeout), (SslMode::Prefer, CONNECT_TIMEOUT));
        assert!(database.password.is_none());
        let config = database.config();
        assert_eq!(config.get_hosts(), [ConfigHost::Tcp("localhost".into())]);
        assert_eq!((config.get_dbname(), config.get_application_name()), (Some("wal"), Some("feed")));
        assert_eq!(config.get_connect_timeout(), Some(&CONNECT_TIMEOUT));
    }

    #[test]
    fn a_host_may_be_a_socket_directory_or_an_address() {
        let socket = Host::Unix("/var/run/postgresql".into());
        for text in [
            "host=/var/run/postgresql user=u",
            "postgres://u@/d?host=/var/run/postgresql",
            "postgres://u@%2Fvar%2Frun%2Fpostgresql/d",
        ] {
            assert_eq!(parse(text).unwrap().host, socket, "{text}");
        }
        assert_eq!(parse("postgres://u@[::1]:5433/d").unwrap().host, Host::Tcp("::1".into()));
        assert_eq!(parse("host=name hostaddr=10.0.0.9 user=u").unwrap().host, Host::Tcp("10.0.0.9".into()));
    }

    #[test]
    fn every_demand_for_tls_that_cannot_be_had_is_refused_by_name() {
        for demand in
            ["sslmode=verify-ca", "sslmode=allow", "sslnegotiation=direct", "channel_binding=require"]
        {
            for text in [format!("host=h user=u {demand}"), format!("postgres://u@h/d?{demand}")] {
                assert_eq!(parse(&text).unwrap_err(), DatabaseError::Tls(demand), "{text}");
            }
        }
        let text = parse("postgres://u@h/d?sslmode=verify-ca").unwrap_err().to_string();
        assert!(text.contains("sslmode=verify-ca, which is not supported; sslmode may be"), "{text}");
    }

    #[test]
    fn every_fault_is_told_apart() {
        for (text, error) in [
            ("", DatabaseError::User),
            ("postgres://h/d", DatabaseError::User),
            ("\"postgres://u@h/d\"", DatabaseError::Quoted),
            ("mysql://u@h/d", DatabaseError::Syntax),
            ("host=a,b user=u", DatabaseError::Hosts),
            ("postgres://u@a:1,b:2/d", DatabaseError::Hosts),
            ("postgres://u:p@ss@h/d", DatabaseError::NotEncoded),
            ("postgres://u:p/ss@h/d", DatabaseError::NotEncoded),
            ("postgres://h/d?password=p@ss", DatabaseError::NotEncoded),
            ("postgres://h?password=p@ss", DatabaseError::NotEncoded),
            ("postgres://u@:1/d", DatabaseError::Host),
            ("postgres://u@[::1/d", DatabaseError::Host),
            ("postgres://u@h:x/d", DatabaseError::Parameter("port")),
            ("postgres://u@h/d?connect_timeout=x", DatabaseError::Parameter("connect_timeout")),
            ("postgres://u@h/d?sslmode=on", DatabaseError::Parameter("sslmode")),
            ("postgres://u@h/d?schema=public", DatabaseError::Unsupported("schema")),
            ("postgres://u@h/d?hunter=2", DatabaseError::Unknown),
            ("host=h user=u password=a b=c", DatabaseError::Unknown),
            ("postgres://u%00@h/d", DatabaseError::Text("the user")),
            ("postgres://u@h/%00", DatabaseError::Text("the database name")),
            ("postgres://u:%FF@h/d", DatabaseError::Text("the password")),
            ("postgres://u:%00@h/d", DatabaseError::Text("the password")),
        ] {
            assert_eq!(parse(text).unwrap_err(), error, "{text}");
        }
    }

    #[test]
    fn printing_it_leaves_the_password_out() {
        let database = parse("postgres://wal:hunter2@h/d").unwrap();
        let text = format!("{database} {database:?}");
        assert!(!text.contains("hunter2") && text.contains("[redacted]"), "{text}");
    }
}
