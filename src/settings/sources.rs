//! From a file and the environment to layers of values that remember what their writer called them.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;

use config::{Config, ConfigError, File, FileFormat, Map, Source, Value, ValueKind};

use super::Mode;
use super::problem::{Problem, nearest};
use super::table::{self, DATABASE_URL, Rule, Setting, TABLE};

/// Reads a whole text file: the settings' only IO, an argument so that tests need no disk.
pub(super) type ReadFile<'a> = &'a dyn Fn(&Path) -> io::Result<String>;

/// The values of one source by key; each value's origin is the name that its writer used.
#[derive(Clone, Default)]
pub(super) struct Layer(Map<String, Value>);

impl fmt::Debug for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Keys only: a value may be a secret.
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self.0.clone())
    }
}

/// Variables without our prefix, by name.
pub(super) type Aliases = BTreeMap<String, String>;

/// Lays `file` over the defaults and `environment` over both.
pub(super) fn merge(mode: Mode, file: Layer, environment: Layer) -> Result<Config, ConfigError> {
    let default = |setting: &Setting| Some((setting.key.to_owned(), setting.default_in(mode)?.into()));
    let defaults = Layer(TABLE.iter().filter_map(default).collect());
    Config::builder().add_source(defaults).add_source(file).add_source(environment).build()
}

/// The settings of a TOML file; `None` if it cannot be read, so that what it would have set is unknown.
pub(super) fn from_file(
    path: &Path,
    mode: Mode,
    read: ReadFile<'_>,
    problems: &mut Vec<Problem>,
) -> Option<Layer> {
    let file = path.display();
    let mut refuse = |found: String| {
        problems.push(Problem::new(file.to_string(), found, "name a readable file in TOML"));
        None
    };
    let text = match read(path) {
        Ok(text) => text,
        Err(error) => return refuse(format!("cannot be read: {error}")),
    };
    let table = match File::from_str(&text, FileFormat::Toml).collect() {
        Ok(table) => table,
        Err(error) => return refuse(syntax(&error)),
    };

    let mut given: BTreeMap<String, Value> = BTreeMap::new();
    flatten("", table, &mut |key, value| {
        given.insert(key.clone(), Value::new(Some(&format!("{key} in {file}")), value.kind));
    });
    let mut layer = Layer::default();
    for setting in &TABLE {
        let direct = given.remove(setting.key);
        let by_file = setting.file_key().and_then(|key| given.remove(&key));
        layer.settle(setting, mode, direct, by_file, read, problems);
    }
    for key in given.keys() {
        let name = format!("{} in {file}", key.escape_debug());
        let section = format!("{key}.");
        let problem = if TABLE.iter().any(|setting| setting.key.starts_with(&section)) {
            Problem::new(name, "is a section, not a value", format!("write its settings below [{key}]"))
        } else {
            unknown(name, key, &table::keys())
        };
        problems.push(problem);
    }
    Some(layer)
}

/// The settings of the environment, and the variables without our prefix that may still count. An empty
/// variable is as good as none: compose files cannot leave one out.
pub(super) fn from_environment(
    environment: impl IntoIterator<Item = (String, String)>,
    mode: Mode,
    read: ReadFile<'_>,
    problems: &mut Vec<Problem>,
) -> (Layer, Aliases) {
    let variables = table::variables();
    let mut given: BTreeMap<String, Value> = BTreeMap::new();
    let mut aliases = Aliases::new();
    let mut strangers = Vec::new();
    for (name, value) in environment {
        if name.to_uppercase().starts_with(table::PREFIX) && !variables.contains(&name) {
            strangers.push(unknown(name.escape_debug().to_string(), &name.to_uppercase(), &variables));
        } else if variables.contains(&name) && !value.is_empty() {
            given.insert(name.clone(), Value::new(Some(&name), value));
        } else if table::ALIASES.contains(&&*name) && !value.is_empty() {
            aliases.insert(name, value);
        }
    }
    strangers.sort_by(|a, b| a.name.cmp(&b.name));
    problems.append(&mut strangers);

    let mut layer = Layer::default();
    for setting in &TABLE {
        let mut direct = given.remove(&setting.variable());
        let mut by_file = setting.file_variable().and_then(|name| given.remove(&name));
        if setting.key == DATABASE_URL.key && direct.is_none() && by_file.is_none() {
            direct = alias(&aliases, "DATABASE_URL");
            by_file = alias(&aliases, "DATABASE_URL_FILE");
        }
        layer.settle(setting, mode, direct, by_file, read, problems);
    }
    (layer, aliases)
}

/// A variable without our prefix, as a value that remembers its name.
pub(super) fn alias(aliases: &Aliases, name: &str) -> Option<Value> {
    aliases.get(name).map(|value| Value::new(Some(&name.to_owned()), value.clone()))
}

/// The one value of a secret that may be given directly or as the name of a file. What went wrong has
/// been told when the value is nil.
pub(super) fn secret(
    direct: Option<Value>,
    by_file: Option<Value>,
    read: ReadFile<'_>,
    problems: &mut Vec<Problem>,
) -> Option<Value> {
    let Some(by_file) = by_file else { return direct };
    let name = by_file.origin().unwrap_or_default().to_owned();
    let reported = Value::new(Some(&name), ValueKind::Nil);
    if let Some(direct) = direct {
        let direct = direct.origin().unwrap_or_default();
        problems.push(Problem::new(name, format!("is given together with {direct}"), "keep one of the two"));
        return Some(reported);
    }
    // The path is not repeated: a secret is too easily put where the name of its file belongs.
    let right = "name a readable file that holds nothing but the value";
    let ValueKind::String(path) = by_file.kind else {
        problems.push(Problem::new(name, "is not the name of a file", right));
        return Some(reported);
    };
    match read(Path::new(&path)) {
        Ok(text) => Some(Value::new(Some(&name), text.trim_end_matches(['\r', '\n']))),
        Err(error) => {
            problems.push(Problem::new(name, format!("names a file that cannot be read: {error}"), right));
            Some(reported)
        }
    }
}

impl Layer {
    fn settle(
        &mut self,
        setting: &Setting,
        mode: Mode,
        direct: Option<Value>,
        by_file: Option<Value>,
        read: ReadFile<'_>,
        problems: &mut Vec<Problem>,
    ) {
        // The demo brings its own database; whatever the shell happens to name must not disturb it.
        if mode == Mode::Demo && matches!(setting.rule, Rule::DatabaseUrl) {
            return;
        }
        if let Some(value) = secret(direct, by_file, read, problems) {
            self.0.insert(setting.key.to_owned(), value);
        }
    }
}

fn flatten(section: &str, table: Map<String, Value>, leaf: &mut impl FnMut(String, Value)) {
    for (key, value) in table {
        let key = if section.is_empty() { key } else { format!("{section}.{key}") };
        let prefix = format!("{key}.");
        let known = || TABLE.iter().any(|setting| setting.key.starts_with(&prefix));
        match value.kind {
            ValueKind::Table(inner) if !inner.is_empty() || known() => flatten(&key, inner, leaf),
            _ => leaf(key, value),
        }
    }
}

fn unknown(name: String, key: &str, known: &[String]) -> Problem {
    let right = match nearest(key, known) {
        Some(nearest) => format!("the nearest known name is {nearest}"),
        None => "remove it".to_owned(),
    };
    Problem::new(name, "is not a setting", right)
}

/// Where and why TOML ends, without the line that the parser's own text repeats: it may hold a secret.
fn syntax(error: &ConfigError) -> String {
    let text = match error {
        ConfigError::FileParse { cause, .. } => cause.to_string(),
        _ => return "is not TOML".to_owned(),
    };
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    let place = lines.next().unwrap_or_default();
    match (place.strip_prefix("TOML parse error "), lines.next_back()) {
        (Some(place), Some(reason)) => format!("is not TOML {place}: {reason}"),
        _ => "is not TOML, or holds a number that is too large".to_owned(),
    }
}
