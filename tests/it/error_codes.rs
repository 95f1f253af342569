//! docs/errors.md against the source: every code that a client can meet is explained there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The string literals of a source file, without comments; good enough for code that has no raw strings.
fn literals(source: &str) -> Vec<String> {
    let code: String = source.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    code.replace("\\\"", "").split('"').skip(1).step_by(2).map(|text| text.replace('\\', "")).collect()
}

fn is_code(word: &str) -> bool {
    word.len() > 3
        && word.starts_with(|first: char| first.is_ascii_uppercase())
        && word.chars().all(|letter| letter.is_ascii_alphanumeric())
        && word.chars().any(|letter| letter.is_ascii_lowercase())
}

/// What comes before the colon in the texts of refusals.
fn refusals() -> BTreeSet<String> {
    let files = ["src/channel/refusal.rs", "src/topic/mod.rs", "src/channel/serializer.rs"];
    let sources = files.map(|file| read(&root().join(file)));
    let texts = sources.iter().flat_map(|source| literals(source));
    texts
        .filter_map(|text| text.split_once(": ").map(|(code, _)| code.to_owned()))
        .filter(|code| is_code(code))
        .collect()
}

fn close_codes() -> BTreeSet<String> {
    let source = read(&root().join("src/hub/closing.rs"));
    let codes = source.split("code: ").skip(1).filter_map(|rest| rest.get(..4));
    codes.filter(|code| code.bytes().all(|byte| byte.is_ascii_digit())).map(str::to_owned).collect()
}

/// What the body of a request can lack, on either table of HTTP.
fn body_codes() -> BTreeSet<String> {
    literals(&read(&root().join("src/http/body.rs"))).into_iter().filter(|word| is_code(word)).collect()
}

/// The second argument of `error(..)` in the HTTP edge.
fn http_codes() -> BTreeSet<String> {
    let files = std::fs::read_dir(root().join("src/http")).unwrap().map(|entry| entry.unwrap().path());
    let sources =
        files.filter(|path| path.extension().is_some_and(|end| end == "rs")).map(|path| read(&path));
    let mut codes = BTreeSet::new();
    for source in sources {
        let calls = source.split(" error(").skip(1).chain(source.split("(error(").skip(1));
        codes.extend(calls.filter_map(|call| literals(call).into_iter().next()).filter(|code| is_code(code)));
    }
    codes
}

/// What makes a problem of a GraphQL request, or stands before the code of one.
fn graphql_codes() -> BTreeSet<String> {
    let files = std::fs::read_dir(root().join("src/http/graphql")).unwrap();
    let sources = files.map(|entry| read(&entry.unwrap().path())).collect::<Vec<_>>();
    let calls = ["Problem::new(", "Self::new(StatusCode", " conflict(", "(conflict("];
    let made = sources.iter().flat_map(|source| calls.map(|call| source.split(call).skip(1)));
    let codes = made.flatten().filter_map(|call| literals(call).into_iter().next());
    codes.filter(|code| is_code(code)).collect()
}

/// The rows of the table under a heading: the cell that holds the code.
fn documented(heading: &str, column: usize) -> BTreeSet<String> {
    let page = read(&root().join("docs/errors.md"));
    let section = page.split("\n## ").find(|section| section.starts_with(heading)).expect("the heading");
    let rows = section.lines().filter(|line| line.starts_with("| ") && !line.starts_with("|-"));
    rows.skip(1).map(|row| row.split('|').nth(column).unwrap().trim().trim_matches('`').to_owned()).collect()
}

/// What operations answer; each is a constant.
fn operation_codes() -> BTreeSet<String> {
    literals(&read(&root().join("src/graphql/code.rs"))).into_iter().collect()
}

#[test]
fn every_code_is_explained_and_nothing_else() {
    let mut refusals = refusals();
    assert!(refusals.len() >= 15, "the source is understood: {refusals:?}");
    // This one is Phoenix' own text; the version is refused before there is a channel.
    refusals.insert("unmatched topic".to_owned());
    refusals.remove("VersionUnsupported");
    assert_eq!(documented("Refusals on a channel", 1), refusals);
    let close_codes = close_codes();
    assert!(close_codes.len() >= 6, "the source is understood: {close_codes:?}");
    assert_eq!(documented("Close codes", 1), close_codes);
    let body_codes = body_codes();
    assert_eq!(body_codes.len(), 2, "the source is understood: {body_codes:?}");
    let http_codes = &http_codes() | &body_codes;
    assert!(http_codes.len() >= 8, "the source is understood: {http_codes:?}");
    assert_eq!(documented("HTTP errors", 2), http_codes);
    let graphql_codes = &graphql_codes() | &body_codes;
    assert!(graphql_codes.len() >= 10, "the source is understood: {graphql_codes:?}");
    assert_eq!(documented("GraphQL requests", 2), graphql_codes);
    let operation_codes = operation_codes();
    assert!(operation_codes.len() >= 10, "the source is understood: {operation_codes:?}");
    assert_eq!(documented("GraphQL operations", 1), operation_codes);
}
