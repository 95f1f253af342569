//! Values of variables: any JSON in any place that takes a variable is refused or becomes parameters, without a panic.

#![no_main]

#[path = "graphql/fixed.rs"]
mod fixed;

use libfuzzer_sys::fuzz_target;

/// A variable of each type, in places of each kind.
const DOCUMENTS: [&str; 12] = [
    "query ($v: NoteFilter) { notes(filter: $v) { id } }",
    "query ($v: [NoteOrder!]) { notes(orderBy: $v) { id } }",
    "query ($v: Int) { notes(limit: $v, offset: $v) { id } numbers(atLeast: $v) }",
    "query ($v: ID!) { note(id: $v) { id likes } }",
    "query ($v: String!) { echo(argument1: $v) found(value: $v) { id } notes(filter: {body: {like: $v}}) { id } }",
    "query ($v: [String!]) { notes(filter: {tags: {contains: $v}, body: {in: $v}}) { id } }",
    "query ($v: JSON) { echo(argument1: \"\", argument2: {a: [$v]}) }",
    "query ($v: Mood) { notes(filter: {mood: {in: [$v]}}) { id } }",
    "query ($v: BigDecimal) { notes(filter: {amount: {in: [1, $v]}}) { id } }",
    "query ($v: Boolean = true) { notes { id @skip(if: $v) } }",
    "mutation ($v: SayInput!) { say(input: $v) { id } }",
    "mutation ($v: SayAllInput!) { sayAll(input: $v) { id } }",
];

fuzz_target!(|input: (u8, &str)| {
    let (choice, json) = input;
    let Ok(value) = serde_json::from_str::<serde_json::Value>(json) else { return };
    for variables in [serde_json::json!({ "v": value }), value] {
        fixed::ask(DOCUMENTS[usize::from(choice) % DOCUMENTS.len()], variables);
    }
});
