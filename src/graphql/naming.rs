//! GraphQL's names, made of SQL's.
//!
//! Fields are in lower camel case, types in upper camel case and singular, lists in the plural. What results is
//! always a `Name` of the GraphQL specification (section 2.1.9) that does not begin with `__`, which is reserved
//! for introspection: characters other than ASCII letters and digits separate words and disappear.

use std::collections::HashSet;

use apollo_compiler::Name;
use heck::{ToLowerCamelCase, ToSnakeCase, ToUpperCamelCase};
use pluralizer::pluralize;

/// Singular and plural of words in tables' names for which the library knows another form than programmers
/// use, or none.
const INFLECTIONS: [(&str, &str); 13] = [
    ("ache", "aches"),
    ("cache", "caches"),
    ("data", "data"),
    ("dns", "dns"),
    ("gps", "gps"),
    ("index", "indexes"),
    ("lens", "lenses"),
    ("metadata", "metadata"),
    ("niche", "niches"),
    ("schema", "schemas"),
    ("sms", "sms"),
    ("species", "species"),
    ("virus", "viruses"),
];

/// Whether `name` can be given to something.
#[must_use]
pub fn is_name(name: &str) -> bool {
    Name::is_valid_syntax(name) && !name.starts_with("__")
}

/// A field's name: `room_id` gives `roomId`.
#[must_use]
pub fn field(name: &str) -> String {
    named(words(name).to_lower_camel_case(), "unnamed")
}

/// A type's name: `order_status` gives `OrderStatus`.
#[must_use]
pub fn type_name(name: &str) -> String {
    named(words(name).to_upper_camel_case(), "Unnamed")
}

/// The name of one row's type: `room_members` gives `RoomMember`.
#[must_use]
pub fn row_type(name: &str) -> String {
    type_name(&inflect(name, 1))
}

/// The name of a field with one row of this type: `RoomMember` gives `roomMember`.
#[must_use]
pub fn one(row_type: &str) -> String {
    field(row_type)
}

/// The name of a field with many rows of this type: `RoomMember` gives `roomMembers`.
#[must_use]
pub fn many(row_type: &str) -> String {
    field(&inflect(row_type, 2))
}

/// The name of the list of all rows of this type. Where singular and plural are one word, `News` gives
/// `allNews`, since `news` is one row.
#[must_use]
pub fn list(row_type: &str) -> String {
    let many = many(row_type);
    if many == one(row_type) { field(&format!("all {many}")) } else { many }
}

/// `name` as part of another: `roomId` gives `RoomId`.
#[must_use]
pub fn capitalised(name: &str) -> String {
    let mut characters = name.chars();
    characters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(characters).collect()
}

/// The words of an SQL name in lower case, with `_` between them.
#[must_use]
pub fn snake(name: &str) -> String {
    words(name).to_snake_case()
}

/// An enum's value for a label that may not be a name.
#[must_use]
pub fn label(label: &str) -> String {
    let spelled: String =
        label.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect::<String>();
    // At most one underscore in front: two are reserved.
    let bare = spelled.trim_start_matches('_');
    let led = spelled.len() > bare.len();
    match bare {
        "true" | "false" | "null" if !led => format!("{bare}_"),
        _ if led || bare.is_empty() || bare.starts_with(|c: char| c.is_ascii_digit()) => format!("_{bare}"),
        _ => bare.to_owned(),
    }
}

/// Only the last word has a number: `news_items` is about items.
fn inflect(name: &str, count: isize) -> String {
    let words = snake(name);
    let (before, last) = words.rsplit_once('_').map_or(("", words.as_str()), |(before, last)| (before, last));
    let known = INFLECTIONS.iter().find(|(singular, plural)| [*singular, *plural].contains(&last));
    let inflected = match known {
        Some((singular, plural)) => (if count == 1 { singular } else { plural }).to_string(),
        None if last.ends_with(|c: char| c.is_ascii_alphabetic()) => pluralize(last, count, false),
        None => String::new(),
    };
    // The library has no word left of `s`.
    let inflected = if inflected.is_empty() { last } else { &inflected };
    if before.is_empty() { inflected.to_owned() } else { format!("{before}_{inflected}") }
}

fn words(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

fn named(name: String, otherwise: &str) -> String {
    match name.chars().next() {
        None => otherwise.to_owned(),
        Some(first) if first.is_ascii_digit() => format!("_{name}"),
        Some(_) => name,
    }
}

/// The names that are taken in one place, such as among the fields of a type.
#[derive(Debug, Default)]
pub struct Taken(HashSet<String>);

impl Taken {
    /// Takes `name`, if it is free.
    pub fn take(&mut self, name: &str) -> bool {
        self.0.insert(name.to_owned())
    }

    /// Takes the first of `wanted` that is free, or the last of them with the first number that makes it so.
    pub fn claim(&mut self, wanted: &[String]) -> String {
        self.claim_with(wanted, |name| vec![name.to_owned()])
    }

    /// The same where a name takes others with it, which must all be free.
    pub fn claim_with(&mut self, wanted: &[String], all: impl Fn(&str) -> Vec<String>) -> String {
        let last = wanted.last().map_or("unnamed", String::as_str);
        let digit = if last.ends_with(|c: char| c.is_ascii_digit()) { "_" } else { "" };
        let numbered = (2_u64..).map(|number| format!("{last}{digit}{number}"));
        for name in wanted.iter().cloned().chain(numbered) {
            let names = all(&name);
            if names.iter().all(|name| !self.0.contains(name)) {
                self.0.extend(names);
                return name;
            }
        }
        // There are more numbers than names.
        last.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sql_names_become_graphql_names() {
        for (sql, expected) in [
            ("room_id", "roomId"),
            ("from", "from"),
            ("createdAt", "createdAt"),
            ("_private", "private"),
            ("__x", "x"),
            ("2fa", "_2fa"),
            ("größe in m", "grEInM"),
            ("日本", "unnamed"),
            ("", "unnamed"),
        ] {
            assert_eq!(field(sql), expected);
            assert!(is_name(&field(sql)));
        }
    }

    #[test]
    fn tables_become_types_fields_and_lists() {
        for (table, row, single, all) in [
            ("auctions", "Auction", "auction", "auctions"),
            ("User", "User", "user", "users"),
            ("people", "Person", "person", "people"),
            ("order_statuses", "OrderStatus", "orderStatus", "orderStatuses"),
            ("status", "Status", "status", "statuses"),
            ("news", "News", "news", "allNews"),
            ("user_data", "UserData", "userData", "allUserData"),
            ("series", "Series", "series", "allSeries"),
            ("species", "Species", "species", "allSpecies"),
            ("news_items", "NewsItem", "newsItem", "newsItems"),
            ("categories", "Category", "category", "categories"),
            ("addresses", "Address", "address", "addresses"),
            ("caches", "Cache", "cache", "caches"),
            ("search_indexes", "SearchIndex", "searchIndex", "searchIndexes"),
            ("s", "S", "s", "allS"),
            ("area_51", "Area51", "area51", "allArea51"),
        ] {
            let name = row_type(table);
            assert_eq!(
                (name.as_str(), one(&name).as_str(), list(&name).as_str()),
                (row, single, all),
                "{table}"
            );
        }
    }

    #[test]
    fn labels_become_enum_values() {
        for (text, expected) in [
            ("happy", "happy"),
            ("IN_PROGRESS", "IN_PROGRESS"),
            ("very-sad", "very_sad"),
            ("1st", "_1st"),
            ("", "_"),
            ("true", "true_"),
            ("__secret", "_secret"),
            ("--", "_"),
            ("-true", "_true"),
            ("ja, bitte", "ja__bitte"),
        ] {
            assert_eq!(label(text), expected);
            assert!(is_name(&label(text)));
        }
    }

    #[test]
    fn a_taken_name_gets_a_number() {
        let mut taken = Taken::default();
        let wanted = ["user".to_owned(), "userByEmail".to_owned()];
        assert_eq!(taken.claim(&wanted), "user");
        assert_eq!(taken.claim(&wanted), "userByEmail");
        assert_eq!(taken.claim(&wanted), "userByEmail2");
        assert_eq!(taken.claim(&["line1".to_owned()]), "line1");
        assert_eq!(taken.claim(&["line1".to_owned()]), "line1_2");
    }
}
