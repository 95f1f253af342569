//! Reads typed values from the merged settings and notes what does not fit.

use std::net::SocketAddr;
use std::time::Duration;

use config::{Config, Value, ValueKind};
use tracing_subscriber::EnvFilter;

use super::database::{Database, DatabaseError, TlsParameters};
use super::problem::{Problem, shown};
use super::secret::Secret;
use super::table::{self, Rule, Setting};
use crate::postgres::tls::SslMode;

/// The merged settings, and the problems found so far. A value that does not fit is noted and replaced
/// by its type's own default, which nobody sees: settings with problems are never handed out.
pub(super) struct Reading<'a> {
    merged: &'a Config,
    pub(super) problems: Vec<Problem>,
    tls: Option<TlsParameters>,
}

impl<'a> Reading<'a> {
    pub(super) const fn new(merged: &'a Config, problems: Vec<Problem>) -> Self {
        Self { merged, problems, tls: None }
    }

    /// Whether the file or the environment sets it.
    pub(super) fn is_set(&self, setting: &Setting) -> bool {
        self.value(setting).is_some_and(|value| value.origin().is_some())
    }

    /// What its writer called it.
    pub(super) fn name(&self, setting: &Setting) -> String {
        let origin = self.value(setting).and_then(Value::origin);
        origin.unwrap_or(setting.key).to_owned()
    }

    /// Notes that `setting` is wrong.
    pub(super) fn refuse(&mut self, setting: &Setting, found: impl Into<String>) {
        let name = self.name(setting);
        self.problems.push(Problem::new(name, found, format!("write {}", setting.rule)));
    }

    pub(super) fn usize(&mut self, setting: &Setting) -> usize {
        usize::try_from(self.number(setting)).unwrap_or(usize::MAX)
    }

    pub(super) fn u64(&mut self, setting: &Setting) -> u64 {
        self.number(setting)
    }

    pub(super) fn u32(&mut self, setting: &Setting) -> u32 {
        u32::try_from(self.number(setting)).unwrap_or(u32::MAX)
    }

    pub(super) fn seconds(&mut self, setting: &Setting) -> Duration {
        Duration::from_secs(self.number(setting))
    }

    pub(super) fn milliseconds(&mut self, setting: &Setting) -> Duration {
        Duration::from_millis(self.number(setting))
    }

    pub(super) fn flag(&mut self, setting: &Setting) -> bool {
        self.parsed(setting, |text| text.parse().ok()).unwrap_or_default()
    }

    pub(super) fn address(&mut self, setting: &Setting) -> Option<SocketAddr> {
        self.parsed(setting, |text| text.parse().ok())
    }

    /// A text that fits the setting's rule.
    pub(super) fn text(&mut self, setting: &Setting) -> String {
        let rule = setting.rule;
        let fits = |text: &str| match rule {
            Rule::OneOf(words) => words.contains(&text),
            Rule::Slot => {
                let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
                (1..=63).contains(&text.len()) && text.bytes().all(letter)
            }
            Rule::Name => is_name(text),
            Rule::Collector => is_collector(text),
            Rule::Directives => EnvFilter::builder().parse(text).is_ok(),
            _ => true,
        };
        self.parsed(setting, |text| fits(text).then(|| text.to_owned())).unwrap_or_default()
    }

    /// A text that need not be there.
    pub(super) fn optional(&mut self, setting: &Setting) -> Option<String> {
        self.value(setting)?;
        Some(self.text(setting))
    }

    pub(super) fn database(&mut self, setting: &Setting) -> Option<Database> {
        let text = self.scalar(setting)?;
        text.parse().map_err(|error: DatabaseError| self.refuse(setting, error.to_string())).ok()
    }

    /// `database`, as `setting` names it, with what the settings of TLS say beside it.
    pub(super) fn with_tls(&mut self, setting: &Setting, database: Database) -> Option<Database> {
        let parameters = if let Some(known) = self.tls.clone() { known } else { self.read_tls() };
        match database.overruled_by(&parameters) {
            Ok(database) => Some(database),
            Err(error) => {
                let name = self.name(setting);
                let right = "correct it, or the settings database.sslmode, sslrootcert, sslcert and sslkey";
                self.problems.push(Problem::new(name, error.to_string(), right));
                None
            }
        }
    }

    /// Once, so that what is wrong is told once.
    fn read_tls(&mut self) -> TlsParameters {
        let sslmode = self.optional(&table::SSLMODE);
        let parameters = TlsParameters {
            sslmode: sslmode.as_deref().and_then(SslMode::of_word),
            sslrootcert: self.optional(&table::SSLROOTCERT),
            sslcert: self.optional(&table::SSLCERT),
            sslkey: self.optional(&table::SSLKEY),
        };
        self.tls = Some(parameters.clone());
        parameters
    }

    pub(super) fn secret(&mut self, setting: &Setting) -> Option<Secret> {
        let text = self.scalar(setting)?;
        let least = if let Rule::Secret { min } = setting.rule { min } else { 0 };
        let count = text.chars().count();
        if count < least {
            self.refuse(setting, format!("has only {count} characters"));
        }
        Some(Secret::new(text))
    }

    /// The entries of a list: an array in a file, separated by commas in a variable.
    pub(super) fn list(&mut self, setting: &Setting) -> Vec<String> {
        let Some(value) = self.value(setting) else { return Vec::new() };
        let entries = match &value.kind {
            ValueKind::String(text) => Some(text.split(',').map(|entry| entry.trim().to_owned()).collect()),
            ValueKind::Array(values) => values
                .iter()
                .map(
                    |entry| if let ValueKind::String(text) = &entry.kind { Some(text.clone()) } else { None },
                )
                .collect::<Option<Vec<_>>>(),
            _ => None,
        };
        let mut entries = entries.unwrap_or_else(|| {
            self.refuse(setting, "is not a list of texts");
            Vec::new()
        });
        entries.retain(|entry| !entry.is_empty());
        entries
    }

    fn number(&mut self, setting: &Setting) -> u64 {
        let range = if let Rule::Number { min, max, .. } = setting.rule { min..=max } else { 0..=u64::MAX };
        let parse = |text: &str| text.parse().ok().filter(|number| range.contains(number));
        self.parsed(setting, parse).unwrap_or_default()
    }

    fn parsed<T>(&mut self, setting: &Setting, parse: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        let text = self.scalar(setting)?;
        let parsed = parse(&text);
        if parsed.is_none() {
            self.refuse(setting, format!("found {}", shown(&text)));
        }
        parsed
    }

    /// The value as the text that a variable would hold; nil has been reported where it arose.
    pub(super) fn scalar(&mut self, setting: &Setting) -> Option<String> {
        let value = self.value(setting)?;
        let found = match (&value.kind, setting.rule) {
            (ValueKind::Nil, _) => return None,
            (ValueKind::String(text), _) => return Some(text.clone()),
            (ValueKind::I64(_) | ValueKind::Float(_), Rule::Number { .. })
            | (ValueKind::Boolean(_), Rule::Flag) => return Some(value.kind.to_string()),
            (ValueKind::Boolean(_), _) => "found true or false",
            (ValueKind::Array(_), _) => "found a list",
            (ValueKind::Table(_), _) => "found a section",
            _ => "found a number",
        };
        self.refuse(setting, found);
        None
    }

    fn value(&self, setting: &Setting) -> Option<&'a Value> {
        setting.key.split('.').try_fold(&self.merged.cache, |value, part| match &value.kind {
            ValueKind::Table(table) => table.get(part),
            _ => None,
        })
    }
}

/// Whether Postgres could call something so (PostgreSQL manual, 4.1.1 Identifiers and Key Words).
pub(super) fn is_name(text: &str) -> bool {
    (1..=63).contains(&text.len()) && !text.contains('\0')
}

/// TLS and credentials are for a collector on the same machine to add.
fn is_collector(text: &str) -> bool {
    url::Url::parse(text).is_ok_and(|url| {
        let bare = url.username().is_empty() && url.password().is_none();
        url.scheme() == "http" && url.has_host() && bare && url.query().is_none() && url.fragment().is_none()
    })
}
