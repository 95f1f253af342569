//! What a user may set: defaults, under a TOML file, under environment variables.
//!
//! Everything that is wrong is reported at once, each problem under the name that its writer used. So
//! no value is deserialized at one go, which would end at the first mistake: a table lists the settings,
//! and each is read by itself from the merged layers.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZero;
use std::path::Path;
use std::time::Duration;

use crate::access::OriginRule;
use crate::access::origin::List;
use crate::change::value::Profile;
use crate::channel::coalesce::Coalescing;
use crate::history::Bounds;
use crate::postgres::setup::OnSlotLost;

mod database;
mod graphql;
mod older;
mod problem;
mod reading;
mod secret;
mod sources;
mod table;
#[cfg(test)]
mod tests;

pub use database::{Database, DatabaseError, Host};
pub use graphql::{GraphQl, Renaming};
pub use problem::{Problem, SettingsError};
pub use secret::Secret;

use reading::Reading;
use sources::{Aliases, Layer, ReadFile};

/// Which command the settings are for; some defaults differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// `walcast serve`: beside a database of the user's own.
    Serve,
    /// `walcast demo`: with a throw-away database that it starts itself.
    Demo,
}

/// Everything a user may set, checked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The database to follow. `None` in [`Mode::Demo`] only, whose own database is not known yet.
    pub database: Option<Database>,
    /// The address of the one port for HTTP and WebSocket.
    pub listen: SocketAddr,
    /// How changes are read.
    pub replication: Replication,
    /// Who may connect.
    pub auth: Auth,
    /// How channels are told.
    pub channels: Channels,
    /// The GraphQL endpoint.
    pub graphql: GraphQl,
    /// What administrative endpoints need.
    pub admin: Admin,
    /// Bounds on what one client, or all together, may ask for.
    pub limits: Limits,
    /// What is kept for clients that come back.
    pub window: Bounds,
    /// How tables are read for clients that ask for their rows.
    pub snapshot: Snapshot,
    /// How much may wait for a slow client, and how long.
    pub outbox: Outbox,
    /// What is logged.
    pub log: Log,
    /// Where spans go; `None` where nowhere.
    pub traces: Option<Traces>,
    /// How the server ends.
    pub shutdown: Shutdown,
}

/// How tables are read for clients that ask for their rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// How long one may take: meanwhile Postgres cannot clean up what it still shows.
    pub within: Duration,
    /// How many are taken at a time, each on a connection of its own.
    pub connections: usize,
}

/// How changes are read from Postgres.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replication {
    /// The slot's name: `[a-z0-9_]{1,63}`, as Postgres demands it.
    pub slot: String,
    /// The publication's name, unquoted: 1 to 63 bytes of any characters but NUL.
    pub publication: String,
    /// Whether the slot ends with the connection.
    pub temporary: bool,
    /// Whether a missing publication is created.
    pub create_publication: bool,
    /// What becomes of a slot that was dropped while it was read, or that Postgres gave up.
    pub on_slot_lost: OnSlotLost,
    /// How many bytes of log may be written and not dispatched before that is a warning.
    pub lag_warn_bytes: u64,
    /// For how long the oldest of them may wait before that is a warning.
    pub lag_warn: Duration,
}

/// Who may connect.
#[derive(Clone, Debug)]
pub struct Auth {
    /// How clients prove who they are.
    pub mode: AuthMode,
    /// Which web pages and host names are let in, from `auth.origins` and `auth.hosts`.
    pub rule: OriginRule,
}

/// How clients prove who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthMode {
    /// Not at all: whoever reaches the port may read every published row.
    None,
}

/// How channels are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channels {
    /// How values become JSON for joins that do not say.
    pub profile: Profile,
    /// Whether messages are compressed for sockets that offer it.
    pub compression: bool,
    /// Which topics' changes wait for more of them.
    pub coalescing: Coalescing,
    /// Threads that own sockets; `None`: as many as suit the machine.
    pub shards: Option<NonZero<usize>>,
}

/// What administrative endpoints need.
#[derive(Clone, Debug)]
pub struct Admin {
    /// The secret that a caller must present; without one only programs on the same machine are heard. 16 characters at
    /// least.
    pub secret: Option<Secret>,
}

/// Bounds on what one client, or all together, may ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest frame accepted from a client, in bytes.
    pub frame_bytes: usize,
    /// Most channels joined on one socket.
    pub channels_per_socket: usize,
    /// Most channels joined to one topic, over all sockets.
    pub members_per_topic: usize,
    /// Most joins per second on one socket.
    pub joins_per_second: u32,
    /// Most sockets open at once.
    pub sockets: usize,
    /// A socket from which nothing comes for so long is closed.
    pub idle: Duration,
    /// A client over HTTP whose system acknowledges nothing for so long, or has no room for what waits, is let go.
    pub vanished: Duration,
    /// The largest change of one row accepted from Postgres, in bytes.
    pub row_bytes: usize,
}

/// How much may wait for a slow client, and how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outbox {
    /// Most bytes that wait for one socket.
    pub bytes: usize,
    /// How long, in any 10 s, all are held up for the sake of full outboxes.
    pub pause: Duration,
    /// A socket that takes nothing for so long, while bytes wait for it, is closed.
    pub stall: Duration,
}

/// What is logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// The shape of a line.
    pub format: LogFormat,
    /// Directives that `tracing_subscriber::EnvFilter` accepts.
    pub filter: String,
}

/// Where spans go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traces {
    /// The base of an OTLP/HTTP collector, `http://host:port` and perhaps a path.
    pub endpoint: String,
    /// Of how many spans one is sent.
    pub one_in: u32,
}

/// The shape of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// How the server ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shutdown {
    /// How long sockets get to take what waits for them.
    pub drain: Duration,
}

impl Settings {
    /// Lays `file` (TOML) over the defaults of `mode`, and `environment` (as `std::env::vars` gives it)
    /// over both. Reads the file, and the files that `*_FILE` settings name; there is no other IO.
    ///
    /// # Errors
    /// All that is wrong, in one [`SettingsError`].
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
        mode: Mode,
    ) -> Result<Self, SettingsError> {
        Self::load_with(file, environment, mode, &|path| std::fs::read_to_string(path))
    }

    /// Every name that a setting can be given by: keys of the file and environment variables.
    #[must_use]
    pub fn names() -> Vec<String> {
        let aliases = table::ALIASES.map(str::to_owned);
        table::keys().into_iter().chain(table::variables()).chain(aliases).collect()
    }

    fn load_with(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
        mode: Mode,
        read: ReadFile<'_>,
    ) -> Result<Self, SettingsError> {
        let mut problems = Vec::new();
        let lower = match file {
            Some(path) => sources::from_file(path, mode, read, &mut problems),
            None => Some(Layer::default()),
        };
        // What an unreadable file leaves open is no problem of its own.
        let whole = lower.is_some();
        let (upper, aliases) = sources::from_environment(environment, mode, read, &mut problems);
        let merged = sources::merge(mode, lower.unwrap_or_default(), upper).map_err(|error| {
            let problem =
                Problem::new("settings", format!("cannot be merged: {error}"), "report this as a bug");
            SettingsError { problems: vec![problem] }
        })?;
        let mut reading = Reading::new(&merged, problems);

        let database = match mode {
            Mode::Serve => {
                let named = database(&mut reading, &aliases, read, whole);
                named.and_then(|database| reading.with_tls(&table::DATABASE_URL, database))
            }
            Mode::Demo => None,
        };
        let listen = listen(&mut reading, &aliases, whole);
        let settings = Self::read(&mut reading, database, listen);
        let problems = reading.problems;
        if problems.is_empty() { Ok(settings) } else { Err(SettingsError { problems }) }
    }

    fn read(reading: &mut Reading<'_>, database: Option<Database>, listen: SocketAddr) -> Self {
        let replication = Replication {
            slot: reading.text(&table::SLOT),
            publication: reading.text(&table::PUBLICATION),
            temporary: reading.flag(&table::TEMPORARY),
            create_publication: reading.flag(&table::CREATE_PUBLICATION),
            on_slot_lost: match reading.text(&table::ON_SLOT_LOST).as_str() {
                "recreate" => OnSlotLost::Recreate,
                _ => OnSlotLost::Stop,
            },
            lag_warn_bytes: reading.u64(&table::LAG_BYTES),
            lag_warn: reading.seconds(&table::LAG_SECONDS),
        };
        reading.text(&table::AUTH_MODE);
        let auth = Auth { mode: AuthMode::None, rule: origin_rule(reading) };
        let profile = Profile::parse(&reading.text(&table::PROFILE)).unwrap_or_default();
        let coalescing = Coalescing::parse(&reading.list(&table::COALESCING)).unwrap_or_else(|error| {
            reading.refuse(&table::COALESCING, error.to_string());
            Coalescing::default()
        });
        let compression = reading.flag(&table::COMPRESSION);
        let shards = NonZero::new(reading.usize(&table::SHARDS));
        let channels = Channels { profile, compression, coalescing, shards };
        let graphql = GraphQl::read(reading, database.as_ref());
        let admin = Admin { secret: reading.secret(&table::ADMIN_SECRET) };
        let limits = Limits {
            frame_bytes: reading.usize(&table::FRAME_BYTES),
            channels_per_socket: reading.usize(&table::CHANNELS),
            members_per_topic: reading.usize(&table::MEMBERS),
            joins_per_second: reading.u32(&table::JOINS),
            sockets: reading.usize(&table::SOCKETS),
            idle: reading.seconds(&table::IDLE),
            vanished: reading.seconds(&table::VANISHED),
            row_bytes: reading.usize(&table::ROW_BYTES),
        };
        let window = Bounds {
            bytes: reading.usize(&table::WINDOW_BYTES),
            age: reading.seconds(&table::WINDOW_AGE),
            wal_bytes: reading.usize(&table::WINDOW_WAL) as u64,
        };
        let snapshot = Snapshot {
            within: reading.seconds(&table::SNAPSHOT_SECONDS),
            connections: reading.usize(&table::SNAPSHOT_CONNECTIONS),
        };
        let outbox = Outbox {
            bytes: reading.usize(&table::OUTBOX_BYTES),
            pause: reading.milliseconds(&table::PAUSE),
            stall: reading.seconds(&table::STALL),
        };
        let format = match reading.text(&table::LOG_FORMAT).as_str() {
            "json" => LogFormat::Json,
            _ => LogFormat::Text,
        };
        let log = Log { format, filter: reading.text(&table::LOG_FILTER) };
        let one_in = reading.u32(&table::ONE_IN);
        let traces = reading.optional(&table::OTLP_ENDPOINT).map(|endpoint| Traces { endpoint, one_in });
        let shutdown = Shutdown { drain: reading.seconds(&table::DRAIN) };
        Self {
            database,
            listen,
            replication,
            auth,
            channels,
            graphql,
            admin,
            limits,
            window,
            snapshot,
            outbox,
            log,
            traces,
            shutdown,
        }
    }
}

/// The database by its URL, else by the older variables.
fn database(
    reading: &mut Reading<'_>,
    aliases: &Aliases,
    read: ReadFile<'_>,
    whole: bool,
) -> Option<Database> {
    if reading.is_set(&table::DATABASE_URL) {
        return reading.database(&table::DATABASE_URL);
    }
    if whole && !older::is_named(aliases) {
        let right = "write DATABASE_URL=postgres://walcast:PASSWORD@localhost:5432/app, \
                     or database.url in a file for --config";
        reading.problems.push(Problem::new("DATABASE_URL", "is not set", right));
    }
    older::database(aliases, read, &mut reading.problems)
}

/// The address to listen on. With no sign-in, other machines are let in only by whoever says so.
fn listen(reading: &mut Reading<'_>, aliases: &Aliases, whole: bool) -> SocketAddr {
    let port = aliases.get("PORT").filter(|_| !reading.is_set(&table::LISTEN));
    if let Some(port) = port {
        let number = port.parse().unwrap_or_else(|_| {
            let found = format!("found {}", problem::shown(port));
            reading.problems.push(Problem::new("PORT", found, "write a port number from 0 to 65535"));
            0
        });
        return (Ipv4Addr::LOCALHOST, number).into();
    }
    let Some(address) = reading.address(&table::LISTEN) else { return (Ipv4Addr::LOCALHOST, 0).into() };
    if whole && !address.ip().to_canonical().is_loopback() && !reading.is_set(&table::AUTH_MODE) {
        let name = reading.name(&table::LISTEN);
        let found = format!("{address} can be reached from other machines, and nobody has to sign in");
        let right = "listen on 127.0.0.1, or say that this is meant: \
                     WALCAST__AUTH__MODE=none (auth.mode = \"none\" in the file)";
        reading.problems.push(Problem::new(name, found, right));
    }
    address
}

fn origin_rule(reading: &mut Reading<'_>) -> OriginRule {
    let (origins, hosts) = (reading.list(&table::ORIGINS), reading.list(&table::HOSTS));
    OriginRule::new(&origins, &hosts).unwrap_or_else(|errors| {
        for error in errors {
            let setting = match error.list {
                List::Origins => &table::ORIGINS,
                List::Hosts => &table::HOSTS,
            };
            reading.refuse(setting, error.to_string());
        }
        OriginRule::default()
    })
}
