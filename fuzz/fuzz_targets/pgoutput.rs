//! The message decoder: no panic on any bytes, and tuples that hold what was checked.

#![no_main]

use libfuzzer_sys::fuzz_target;
use walcast::pgoutput::{Column, Columns, Message, Tuple, decode};

fuzz_target!(|bytes: &[u8]| {
    let mut budget = bytes.len();
    match decode(bytes) {
        Ok(Message::Insert { new, .. }) => sound(new, &mut budget),
        Ok(Message::Update { old, new, .. }) => {
            if let Some(old) = old {
                sound(old.tuple(), &mut budget);
            }
            sound(new, &mut budget);
        }
        Ok(Message::Delete { old, .. }) => sound(old.tuple(), &mut budget),
        Ok(Message::Truncate { relations, .. }) => assert!(relations.len() * 4 < bytes.len()),
        Ok(Message::Relation(relation)) => assert!(relation.columns.len() * 10 < bytes.len()),
        Ok(message) => drop(format!("{message:?}")),
        Err(error) => drop(error.to_string()),
    }
    assert!(Columns::over(bytes).count() <= bytes.len());
});

/// Every announced column is there, and together they are exactly the tuple's bytes, which lie within
/// what is left of the message.
fn sound(tuple: Tuple<'_>, budget: &mut usize) {
    assert_eq!(tuple.iter().count(), usize::from(tuple.columns()));
    let length: usize = tuple
        .iter()
        .map(|column| match column {
            Column::Null | Column::Unchanged => 1,
            Column::Text(value) | Column::Binary(value) => 1 + 4 + value.len(),
        })
        .sum();
    assert_eq!(length, tuple.bytes().len());
    *budget = budget.checked_sub(length).expect("tuples no longer than their message");
}
