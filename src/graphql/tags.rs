//! What the owner of a database says about its names: tags in comments, and the settings that say the same.
//!
//! A tag is a line of a comment: `@walcast name lot`, `@walcast omit`, for functions
//! `@walcast depends_on bids(auction_id = id), rates` or `@walcast depends_on nothing`, and for tables
//! `@walcast subscription newMessage on insert (room_id)`. The other lines are the description.

use std::collections::{HashMap, HashSet};
use std::fmt;

use thiserror::Error;

use super::model::{ChangeEvent, Events};
use super::naming;

/// What a comment says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tags {
    /// `name`: how it shall be called.
    pub name: Option<String>,
    /// `omit`: it is not offered.
    pub omit: bool,
    /// `depends_on`: what a function reads; `nothing` is an empty list, `None` that it does not say.
    pub depends_on: Option<Vec<Source>>,
    /// `subscription`: what a table's rows are told as, besides its changes.
    pub subscriptions: Vec<Subscription>,
    /// The comment without tags; `None` where nothing is left.
    pub description: Option<String>,
    /// What is wrong with tags, which count as not written.
    pub faults: Vec<TagError>,
}

/// One table of a `depends_on`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The schema, where one is written.
    pub schema: Option<String>,
    /// The table.
    pub table: String,
    /// Pairs of its column and the row's column that are equal; empty where any of its rows counts.
    pub on: Vec<(String, String)>,
}

/// A field of `Subscription` that tells of rows of one table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// The field's name.
    pub name: String,
    /// What has to happen to a row: it is inserted, updated, or either.
    pub events: Events,
    /// The columns whose values the client gives.
    pub columns: Vec<String>,
}

/// A tag that cannot be followed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum TagError {
    /// No such tag.
    #[error("there is no tag {0:?}; there are name, omit, depends_on and subscription")]
    Unknown(String),
    /// `name` without a name that GraphQL allows.
    #[error("{0:?} cannot be a name in GraphQL: write letters, digits and _, no digit first and not __")]
    Name(String),
    /// `omit` with something behind it.
    #[error("omit stands alone, not before {0:?}")]
    Omit(String),
    /// `depends_on` that is not a list of tables.
    #[error("depends_on takes tables such as bids(auction_id = id), rates, or the word nothing; not {0:?}")]
    DependsOn(String),
    /// `subscription` that says not what, or when.
    #[error(
        "subscription takes what newMessage on insert (room_id) has, with insert, update or insert or update; not {0:?}"
    )]
    Subscription(String),
}

impl Tags {
    /// Reads a comment.
    #[must_use]
    pub fn parse(comment: &str) -> Self {
        let mut tags = Self::default();
        let mut description = Vec::new();
        for line in comment.lines() {
            match line.trim().strip_prefix("@walcast") {
                Some(tag) if tag.is_empty() || tag.starts_with(char::is_whitespace) => {
                    if let Err(fault) = tags.read(tag.trim()) {
                        tags.faults.push(fault);
                    }
                }
                _ => description.push(line),
            }
        }
        let description = description.join("\n");
        let description = description.trim();
        tags.description = (!description.is_empty()).then(|| description.to_owned());
        tags
    }

    fn read(&mut self, tag: &str) -> Result<(), TagError> {
        let (word, rest) = tag.split_once(char::is_whitespace).unwrap_or((tag, ""));
        let rest = rest.trim();
        match word {
            "name" if naming::is_name(rest) => self.name = Some(rest.to_owned()),
            "name" => return Err(TagError::Name(rest.to_owned())),
            "omit" if rest.is_empty() => self.omit = true,
            "omit" => return Err(TagError::Omit(rest.to_owned())),
            "depends_on" => {
                let wrong = || TagError::DependsOn(rest.to_owned());
                // A table of this name is written in quotes.
                let nothing = rest.eq_ignore_ascii_case("nothing");
                let read = if nothing { Vec::new() } else { sources(&mut Scan(rest)).ok_or_else(wrong)? };
                self.depends_on.get_or_insert_default().extend(read);
            }
            "subscription" => {
                let scan = &mut Scan(rest);
                let subscription = scan.word().and_then(|name| subscription(name, scan));
                self.subscriptions.push(subscription.ok_or_else(|| TagError::Subscription(rest.to_owned()))?);
            }
            _ => return Err(TagError::Unknown(word.to_owned())),
        }
        Ok(())
    }
}

/// What stands behind the name: `on insert or update (room_id, author)`.
fn subscription(name: &str, scan: &mut Scan<'_>) -> Option<Subscription> {
    (naming::is_name(name) && scan.keyword("on")).then_some(())?;
    let mut events = Events::default();
    loop {
        let event = match () {
            () if scan.keyword("insert") => ChangeEvent::Insert,
            () if scan.keyword("update") => ChangeEvent::Update,
            () => return None,
        };
        events = events.with(event);
        if !scan.keyword("or") {
            break;
        }
    }
    let mut columns = Vec::new();
    if scan.take('(') {
        columns.push(scan.identifier()?);
        // A list in an environment variable is cut at its commas.
        while scan.take(',') || scan.keyword("and") {
            columns.push(scan.identifier()?);
        }
        scan.take(')').then_some(())?;
    }
    scan.is_done().then(|| Subscription { name: name.to_owned(), events, columns })
}

fn sources(scan: &mut Scan<'_>) -> Option<Vec<Source>> {
    let mut sources = Vec::new();
    loop {
        let first = scan.identifier()?;
        let (schema, table) = if scan.take('.') { (Some(first), scan.identifier()?) } else { (None, first) };
        let mut on = Vec::new();
        if scan.take('(') {
            loop {
                let theirs = scan.identifier()?;
                scan.take('=').then_some(())?;
                on.push((theirs, scan.identifier()?));
                if !scan.take(',') {
                    break;
                }
            }
            scan.take(')').then_some(())?;
        }
        sources.push(Source { schema, table, on });
        if !scan.take(',') {
            return scan.is_done().then_some(sources);
        }
    }
}

/// Identifiers as SQL spells them (PostgreSQL manual, section 4.1.1), with signs between them.
struct Scan<'a>(&'a str);

impl<'a> Scan<'a> {
    /// A word as it is written.
    fn word(&mut self) -> Option<&'a str> {
        let text = self.0.trim_start();
        let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
        let (word, rest) = text.split_at_checked(end)?;
        self.0 = rest;
        (!word.is_empty()).then_some(word)
    }

    /// This word, in upper or lower case.
    fn keyword(&mut self, keyword: &str) -> bool {
        let before = self.0;
        let found = self.word().is_some_and(|word| word.eq_ignore_ascii_case(keyword));
        if !found {
            self.0 = before;
        }
        found
    }

    fn take(&mut self, sign: char) -> bool {
        let rest = self.0.trim_start().strip_prefix(sign);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn is_done(&self) -> bool {
        self.0.trim().is_empty()
    }

    fn identifier(&mut self) -> Option<String> {
        self.0 = self.0.trim_start();
        if let Some(mut quoted) = self.0.strip_prefix('"') {
            let mut name = String::new();
            loop {
                let (part, rest) = quoted.split_once('"')?;
                name.push_str(part);
                if let Some(more) = rest.strip_prefix('"') {
                    name.push('"');
                    quoted = more;
                } else {
                    self.0 = rest;
                    return (!name.is_empty()).then_some(name);
                }
            }
        }
        let end =
            self.0.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$')).unwrap_or(self.0.len());
        let (name, rest) = self.0.split_at_checked(end)?;
        self.0 = rest;
        (!name.is_empty()).then(|| name.to_lowercase())
    }
}

/// What a setting names.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    /// A relation or a type: `public.auctions`.
    Relation(String, String),
    /// A column or a foreign key: `public.users.name`.
    Column(String, String, String),
    /// A function, whatever its arguments: `public.highest_bid()`.
    Function(String, String),
}

impl Place {
    fn parse(text: &str) -> Option<Self> {
        let scan = &mut Scan(text);
        let schema = scan.identifier()?;
        scan.take('.').then_some(())?;
        let name = scan.identifier()?;
        let place = if scan.take('.') {
            Self::Column(schema, name, scan.identifier()?)
        } else if scan.take('(') {
            scan.take(')').then_some(())?;
            Self::Function(schema, name)
        } else {
            Self::Relation(schema, name)
        };
        scan.is_done().then_some(place)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Relation(schema, name) => write!(f, "{schema}.{name}"),
            Self::Column(schema, relation, name) => write!(f, "{schema}.{relation}.{name}"),
            Self::Function(schema, name) => write!(f, "{schema}.{name}()"),
        }
    }
}

/// The settings that say what tags say. They come before tags.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// How things shall be called.
    pub names: HashMap<Place, String>,
    /// What is not offered.
    pub omit: HashSet<Place>,
    /// What rows of a relation are told as, beside its tags.
    pub subscriptions: Vec<(Place, Subscription)>,
}

/// An entry of these settings that cannot be followed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum NamesError {
    /// What it names cannot be told.
    #[error("{0:?} names nothing: write schema.table, schema.table.column or schema.function()")]
    Place(String),
    /// There is no name behind the place.
    #[error("{0:?} gives no name: write schema.table=Name")]
    Missing(String),
    /// GraphQL does not allow the name.
    #[error("{0:?} cannot be a name in GraphQL: write letters, digits and _, no digit first and not __")]
    Name(String),
    /// No subscription can be made of it.
    #[error("{0:?} is no subscription: write what newMessage = public.messages on insert (room_id) has")]
    Subscription(String),
}

impl Names {
    /// Reads `public.auctions=Lot`, `public.users.name=fullName`, `public.highest_bid()=topBid`; and, for what
    /// is left out, the left sides of such. Identifiers are spelled as in SQL.
    ///
    /// # Errors
    /// All entries that cannot be followed.
    pub fn parse<T: AsRef<str>>(names: &[T], omit: &[T]) -> Result<Self, Vec<NamesError>> {
        let mut parsed = Self::default();
        let mut errors = Vec::new();
        for entry in names {
            match renaming(entry.as_ref()) {
                Ok((place, name)) => {
                    parsed.names.insert(place, name);
                }
                Err(error) => errors.push(error),
            }
        }
        for entry in omit {
            match Place::parse(entry.as_ref()) {
                Some(place) => {
                    parsed.omit.insert(place);
                }
                None => errors.push(NamesError::Place(entry.as_ref().to_owned())),
            }
        }
        if errors.is_empty() { Ok(parsed) } else { Err(errors) }
    }

    /// The same with named subscriptions, spelled `newMessage = public.messages on insert (room_id)`.
    ///
    /// # Errors
    /// All entries that cannot be followed.
    pub fn with_subscriptions<T: AsRef<str>>(mut self, entries: &[T]) -> Result<Self, Vec<NamesError>> {
        let mut errors = Vec::new();
        for entry in entries {
            match named_subscription(entry.as_ref()) {
                Some(subscription) => self.subscriptions.push(subscription),
                None => errors.push(NamesError::Subscription(entry.as_ref().to_owned())),
            }
        }
        if errors.is_empty() { Ok(self) } else { Err(errors) }
    }

    /// Everything that these settings name.
    pub fn places(&self) -> impl Iterator<Item = &Place> {
        let subscriptions = self.subscriptions.iter().map(|(place, _)| place);
        self.names.keys().chain(&self.omit).chain(subscriptions)
    }

    /// What holds for `place`: the setting, else the tags of its comment.
    #[must_use]
    pub fn tags(&self, place: &Place, comment: Option<&str>) -> Tags {
        let mut tags = comment.map(Tags::parse).unwrap_or_default();
        if let Some(name) = self.names.get(place) {
            tags.name = Some(name.clone());
        }
        tags.omit |= self.omit.contains(place);
        let set = self.subscriptions.iter().filter(|(relation, _)| relation == place);
        tags.subscriptions.splice(0..0, set.map(|(_, subscription)| subscription.clone()));
        tags
    }
}

fn named_subscription(entry: &str) -> Option<(Place, Subscription)> {
    let scan = &mut Scan(entry);
    let name = scan.word()?;
    scan.take('=').then_some(())?;
    let schema = scan.identifier()?;
    scan.take('.').then_some(())?;
    let relation = Place::Relation(schema, scan.identifier()?);
    Some((relation, subscription(name, scan)?))
}

fn renaming(entry: &str) -> Result<(Place, String), NamesError> {
    let (place, name) = entry.rsplit_once('=').ok_or_else(|| NamesError::Missing(entry.to_owned()))?;
    let name = name.trim();
    if !naming::is_name(name) {
        return Err(NamesError::Name(name.to_owned()));
    }
    let place = Place::parse(place).ok_or_else(|| NamesError::Place(place.to_owned()))?;
    Ok((place, name.to_owned()))
}

#[cfg(test)]
mod tests;
