//! The table of all settings: what each is called, what it accepts, what it is when nobody sets it.
//!
//! docs/configuration.md is tested against this table, and messages take their "what would be right"
//! from it, so the three cannot drift apart.

use std::fmt;

use super::Mode;
use crate::change::value::Profile;
use crate::channel::coalesce::MOST_MS;
use crate::postgres::tls::SslMode;

/// One setting.
#[derive(Debug)]
pub(super) struct Setting {
    /// Its key in a file: `section.name`. The environment variable follows from it.
    pub(super) key: &'static str,
    /// What it accepts.
    pub(super) rule: Rule,
    /// What it is when it is not set.
    pub(super) fallback: Fallback,
}

/// What a setting accepts. The `Display` text ends the sentence "write ...".
#[derive(Clone, Copy, Debug)]
pub(super) enum Rule {
    /// A whole number of `unit`, both ends included.
    Number {
        min: u64,
        max: u64,
        unit: &'static str,
    },
    Flag,
    OneOf(&'static [&'static str]),
    Address,
    Slot,
    /// What Postgres calls an object or a role.
    Name,
    /// Several of them.
    Names,
    File,
    Directives,
    /// The base of an OTLP/HTTP collector.
    Collector,
    Origins,
    Hosts,
    /// Pairs of what SQL calls something and what GraphQL is to call it.
    Renamings,
    /// What SQL calls something.
    Objects,
    /// Topics, and how long their changes may wait.
    Coalescing,
    /// Rows of a table under a name of their own.
    Subscriptions,
    DatabaseUrl,
    Secret {
        min: usize,
    },
}

/// A setting's value when nobody sets it, in the spelling of an environment variable.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fallback {
    Text(&'static str),
    PerMode { serve: &'static str, demo: &'static str },
    Nothing,
}

/// What the names of our environment variables begin with.
pub(super) const PREFIX: &str = "WALCAST__";

/// Variables without our prefix, which hosting platforms and earlier servers made customary.
pub(super) const ALIASES: [&str; 9] = [
    "DATABASE_URL",
    "DATABASE_URL_FILE",
    "DB_HOST",
    "DB_PORT",
    "DB_NAME",
    "DB_USER",
    "DB_PASSWORD",
    "DB_PASSWORD_FILE",
    "PORT",
];

const fn number(key: &'static str, default: &'static str, min: u64, max: u64, unit: &'static str) -> Setting {
    Setting { key, rule: Rule::Number { min, max, unit }, fallback: Fallback::Text(default) }
}

const fn text(key: &'static str, rule: Rule, default: &'static str) -> Setting {
    Setting { key, rule, fallback: Fallback::Text(default) }
}

const fn unset(key: &'static str, rule: Rule) -> Setting {
    Setting { key, rule, fallback: Fallback::Nothing }
}

pub(super) const DATABASE_URL: Setting = unset("database.url", Rule::DatabaseUrl);
pub(super) const SSLMODE: Setting = unset("database.sslmode", Rule::OneOf(&SslMode::WORDS));
pub(super) const SSLROOTCERT: Setting = unset("database.sslrootcert", Rule::File);
pub(super) const SSLCERT: Setting = unset("database.sslcert", Rule::File);
pub(super) const SSLKEY: Setting = unset("database.sslkey", Rule::File);
pub(super) const LISTEN: Setting = text("listen", Rule::Address, "127.0.0.1:4000");
pub(super) const SLOT: Setting = text("replication.slot", Rule::Slot, "walcast");
pub(super) const PUBLICATION: Setting = text("replication.publication", Rule::Name, "walcast");
pub(super) const TEMPORARY: Setting = text("replication.temporary", Rule::Flag, "false");
pub(super) const CREATE_PUBLICATION: Setting = Setting {
    key: "replication.create_publication",
    rule: Rule::Flag,
    fallback: Fallback::PerMode { serve: "false", demo: "true" },
};
pub(super) const ON_SLOT_LOST: Setting =
    text("replication.on_slot_lost", Rule::OneOf(&["stop", "recreate"]), "stop");
pub(super) const LAG_BYTES: Setting =
    number("replication.lag_warn_bytes", "1073741824", 1_048_576, 1_099_511_627_776, "bytes");
pub(super) const LAG_SECONDS: Setting = number("replication.lag_warn_seconds", "30", 5, 86_400, "seconds");
pub(super) const AUTH_MODE: Setting = text("auth.mode", Rule::OneOf(&["none"]), "none");
pub(super) const ORIGINS: Setting = unset("auth.origins", Rule::Origins);
pub(super) const HOSTS: Setting = unset("auth.hosts", Rule::Hosts);
pub(super) const PROFILE: Setting = text("channels.profile", Rule::OneOf(&Profile::NAMES), "default");
pub(super) const COMPRESSION: Setting = text("channels.compression", Rule::Flag, "false");
pub(super) const SHARDS: Setting = number("channels.shards", "0", 0, 256, "threads");
pub(super) const COALESCING: Setting = unset("channels.coalesce", Rule::Coalescing);
pub(super) const ADMIN_SECRET: Setting = unset("admin.secret", Rule::Secret { min: 16 });
pub(super) const GRAPHQL: Setting = text("graphql.enabled", Rule::Flag, "true");
pub(super) const GRAPHQL_URL: Setting = unset("graphql.url", Rule::DatabaseUrl);
pub(super) const GRAPHQL_ROLE: Setting = unset("graphql.role", Rule::Name);
pub(super) const SCHEMAS: Setting = text("graphql.schemas", Rule::Names, "public");
pub(super) const CONNECTIONS: Setting = number("graphql.connections", "8", 1, 1000, "connections");
pub(super) const WAIT: Setting = number("graphql.wait_ms", "5000", 1, 600_000, "milliseconds");
pub(super) const STATEMENT: Setting = number("graphql.statement_ms", "10000", 1, 3_600_000, "milliseconds");
pub(super) const DEPTH: Setting = number("graphql.depth", "16", 1, 100, "levels");
pub(super) const COST: Setting = number("graphql.cost", "2000", 1, 1_000_000, "fields");
pub(super) const ROWS: Setting = number("graphql.rows", "1000", 1, 1_000_000, "rows");
pub(super) const INTROSPECTION: Setting = text("graphql.introspection", Rule::Flag, "true");
pub(super) const GRAPHIQL: Setting = text("graphql.graphiql", Rule::Flag, "true");
pub(super) const LIVE_STREAMS: Setting = number("graphql.live_streams", "16384", 0, 1_000_000, "streams");
pub(super) const LIVE_EXTENSIONS: Setting = Setting {
    key: "graphql.live_extensions",
    rule: Rule::Flag,
    fallback: Fallback::PerMode { serve: "false", demo: "true" },
};
pub(super) const DOCUMENTS: Setting = unset("graphql.documents", Rule::File);
pub(super) const DOCUMENTS_ONLY: Setting = text("graphql.documents_only", Rule::Flag, "false");
pub(super) const RENAMINGS: Setting = unset("graphql.names", Rule::Renamings);
pub(super) const OMITTED: Setting = unset("graphql.omit", Rule::Objects);
pub(super) const SUBSCRIPTIONS: Setting = unset("graphql.subscriptions", Rule::Subscriptions);
pub(super) const FRAME_BYTES: Setting = number("limits.frame_bytes", "1048576", 1024, 67_108_864, "bytes");
pub(super) const CHANNELS: Setting = number("limits.channels_per_socket", "100", 1, 100_000, "channels");
pub(super) const MEMBERS: Setting = number("limits.members_per_topic", "100000", 1, 10_000_000, "channels");
pub(super) const JOINS: Setting = number("limits.joins_per_second", "100", 1, 100_000, "joins");
pub(super) const SOCKETS: Setting = number("limits.sockets", "16384", 1, 1_000_000, "sockets");
pub(super) const IDLE: Setting = number("limits.idle_seconds", "60", 1, 86_400, "seconds");
pub(super) const VANISHED: Setting = number("limits.vanished_seconds", "300", 5, 3600, "seconds");
pub(super) const ROW_BYTES: Setting = number("limits.row_bytes", "268435456", 1024, 2_147_483_647, "bytes");
pub(super) const WINDOW_BYTES: Setting = number("window.bytes", "67108864", 0, 1 << 40, "bytes");
pub(super) const WINDOW_AGE: Setting = number("window.age_seconds", "300", 0, 604_800, "seconds");
pub(super) const WINDOW_WAL: Setting = number("window.wal_bytes", "1073741824", 0, 1 << 50, "bytes");
pub(super) const SNAPSHOT_SECONDS: Setting = number("snapshot.seconds", "300", 1, 86_400, "seconds");
pub(super) const SNAPSHOT_CONNECTIONS: Setting = number("snapshot.connections", "4", 1, 1000, "connections");
pub(super) const OUTBOX_BYTES: Setting = number("outbox.bytes", "4194304", 1024, 1_073_741_824, "bytes");
pub(super) const PAUSE: Setting = number("outbox.pause_ms", "1000", 0, 10_000, "milliseconds");
pub(super) const STALL: Setting = number("outbox.stall_seconds", "10", 1, 3600, "seconds");
pub(super) const LOG_FORMAT: Setting = text("log.format", Rule::OneOf(&["text", "json"]), "text");
pub(super) const LOG_FILTER: Setting = text("log.filter", Rule::Directives, "info");
pub(super) const OTLP_ENDPOINT: Setting = unset("traces.otlp_endpoint", Rule::Collector);
pub(super) const ONE_IN: Setting = number("traces.one_in", "1", 1, 1_000_000, "spans");
pub(super) const DRAIN: Setting = number("shutdown.drain_seconds", "10", 0, 600, "seconds");

/// Every setting, in the order of the documentation.
pub(super) const TABLE: [Setting; 61] = [
    DATABASE_URL,
    SSLMODE,
    SSLROOTCERT,
    SSLCERT,
    SSLKEY,
    LISTEN,
    SLOT,
    PUBLICATION,
    TEMPORARY,
    CREATE_PUBLICATION,
    ON_SLOT_LOST,
    LAG_BYTES,
    LAG_SECONDS,
    AUTH_MODE,
    ORIGINS,
    HOSTS,
    PROFILE,
    COMPRESSION,
    COALESCING,
    SHARDS,
    GRAPHQL,
    GRAPHQL_URL,
    GRAPHQL_ROLE,
    SCHEMAS,
    CONNECTIONS,
    WAIT,
    STATEMENT,
    DEPTH,
    COST,
    ROWS,
    INTROSPECTION,
    GRAPHIQL,
    LIVE_STREAMS,
    LIVE_EXTENSIONS,
    DOCUMENTS,
    DOCUMENTS_ONLY,
    RENAMINGS,
    OMITTED,
    SUBSCRIPTIONS,
    ADMIN_SECRET,
    FRAME_BYTES,
    CHANNELS,
    MEMBERS,
    JOINS,
    SOCKETS,
    IDLE,
    VANISHED,
    ROW_BYTES,
    WINDOW_BYTES,
    WINDOW_AGE,
    WINDOW_WAL,
    SNAPSHOT_SECONDS,
    SNAPSHOT_CONNECTIONS,
    OUTBOX_BYTES,
    PAUSE,
    STALL,
    LOG_FORMAT,
    LOG_FILTER,
    OTLP_ENDPOINT,
    ONE_IN,
    DRAIN,
];

impl Setting {
    /// Its environment variable.
    pub(super) fn variable(&self) -> String {
        format!("{PREFIX}{}", self.key.replace('.', "__").to_uppercase())
    }

    /// Whether its value must not be repeated, and may stand in a file of its own instead.
    pub(super) const fn is_secret(&self) -> bool {
        matches!(self.rule, Rule::DatabaseUrl | Rule::Secret { .. })
    }

    /// The key that names a file with the value.
    pub(super) fn file_key(&self) -> Option<String> {
        self.is_secret().then(|| format!("{}_file", self.key))
    }

    /// The environment variable that names a file with the value.
    pub(super) fn file_variable(&self) -> Option<String> {
        self.is_secret().then(|| format!("{}_FILE", self.variable()))
    }

    /// The value when nobody sets it.
    pub(super) const fn default_in(&self, mode: Mode) -> Option<&'static str> {
        match (self.fallback, mode) {
            (Fallback::Text(text), _)
            | (Fallback::PerMode { serve: text, .. }, Mode::Serve)
            | (Fallback::PerMode { demo: text, .. }, Mode::Demo) => Some(text),
            (Fallback::Nothing, _) => None,
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number { min, max, unit } => write!(f, "a whole number of {unit} from {min} to {max}"),
            Self::Flag => f.write_str("true or false"),
            Self::OneOf(words) => f.write_str(&words.join(" or ")),
            Self::Address => f.write_str("an IP address and port, such as 127.0.0.1:4000 or [::1]:4000"),
            Self::Slot => f.write_str("1 to 63 of the characters a-z, 0-9 and _"),
            Self::Name => f.write_str("a name of 1 to 63 bytes, without the character NUL"),
            Self::Names => f.write_str("a list of names, each of 1 to 63 bytes, without the character NUL"),
            Self::File => f.write_str("the path of a file"),
            Self::Renamings => f.write_str(
                "a list such as public.auctions=Lot, public.users.name=fullName, public.highest_bid()=topBid",
            ),
            Self::Objects => {
                f.write_str("a list such as public.secrets, public.users.password, public.reset()")
            }
            Self::Subscriptions => {
                f.write_str("a list such as newMessage = public.messages on insert (room_id)")
            }
            Self::Coalescing => write!(
                f,
                "a list such as realtime:public:prices*=50: topics, and 1 to {MOST_MS} milliseconds",
            ),
            Self::Directives => f.write_str(
                "a level (error, warn, info, debug, trace) or directives such as walcast=debug,info",
            ),
            Self::Collector => f.write_str("a URL such as http://localhost:4318"),
            Self::Origins => f.write_str("a list of origins, each *, null or scheme://host[:port]"),
            Self::Hosts => f.write_str("a list of hosts, each * or a name or address without port"),
            Self::DatabaseUrl => f.write_str("a URL such as postgres://walcast:PASSWORD@localhost:5432/app"),
            Self::Secret { min } => write!(f, "at least {min} characters"),
        }
    }
}

/// The keys that a file may hold.
pub(super) fn keys() -> Vec<String> {
    TABLE.iter().flat_map(|s| [Some(s.key.to_owned()), s.file_key()]).flatten().collect()
}

/// The environment variables with our prefix.
pub(super) fn variables() -> Vec<String> {
    TABLE.iter().flat_map(|s| [Some(s.variable()), s.file_variable()]).flatten().collect()
}
