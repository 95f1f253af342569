//! The database as the five older variables `DB_HOST`, `DB_PORT`, `DB_NAME`, `DB_USER`, `DB_PASSWORD` name it.

use config::ValueKind;
use tokio_postgres::Config;

use super::database::{Database, DatabaseError};
use super::problem::{Problem, shown};
use super::sources::{Aliases, ReadFile, alias, secret};

/// The database that the older variables name; `None` if none of them is set or one is wrong.
pub(super) fn database(
    aliases: &Aliases,
    read: ReadFile<'_>,
    problems: &mut Vec<Problem>,
) -> Option<Database> {
    if !is_named(aliases) {
        return None;
    }
    let text = |name: &str, default: &str| aliases.get(name).map_or(default, String::as_str).to_owned();
    let before = problems.len();
    let mut config = Config::new();
    config.host(text("DB_HOST", "localhost")).user(text("DB_USER", "postgres"));
    config.dbname(text("DB_NAME", "postgres"));
    let port = text("DB_PORT", "5432");
    match port.parse() {
        Ok(port @ 1..) => _ = config.port(port),
        _ => problems.push(Problem::new(
            "DB_PORT",
            format!("found {}", shown(&port)),
            "write a port number from 1 to 65535",
        )),
    }
    let password = secret(alias(aliases, "DB_PASSWORD"), alias(aliases, "DB_PASSWORD_FILE"), read, problems);
    if let Some(ValueKind::String(password)) = password.map(|value| value.kind) {
        config.password(password);
    }
    match Database::from_config(config) {
        Ok(database) => (problems.len() == before).then_some(database),
        Err(error) => {
            let name = match error {
                DatabaseError::User | DatabaseError::Text("the user") => "DB_USER",
                DatabaseError::Text("the database name") => "DB_NAME",
                DatabaseError::Text(_) => "DB_PASSWORD",
                _ => "DB_HOST",
            };
            problems.push(Problem::new(name, error.to_string(), "write one plain name"));
            None
        }
    }
}

/// Whether one of the older variables is set.
pub(super) fn is_named(aliases: &Aliases) -> bool {
    aliases.keys().any(|name| name.starts_with("DB_"))
}
