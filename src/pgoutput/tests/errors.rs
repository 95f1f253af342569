//! Each error, by the smallest message that has it.

use crate::pgoutput::{Column, Columns, DecodeError, Message, decode};

fn error(bytes: &[u8]) -> DecodeError {
    decode(bytes).unwrap_err()
}

#[test]
fn a_shortage_is_told_with_its_field_and_sizes() {
    assert_eq!(error(b""), DecodeError::Truncated { field: "message type", need: 1, have: 0 });
    assert_eq!(error(b"I\0\0"), DecodeError::Truncated { field: "relation OID", need: 4, have: 2 });
    assert_eq!(
        error(b"I\0\0\0\x01N\0\x01t\0\0\0\x05abc"),
        DecodeError::Truncated { field: "column value", need: 5, have: 3 }
    );
    assert_eq!(error(b"Y\0\0\0\x01abc"), DecodeError::Unterminated { field: "type namespace", have: 3 });
    assert_eq!(
        error(b"I\0\0\0\x01N\0\x01t\0\0\0\x05abc").to_string(),
        "the message ends within column value: 5 bytes needed, 3 left"
    );
}

#[test]
fn what_is_unknown_is_named() {
    assert_eq!(error(b"S\0\0\0\x01\x01"), DecodeError::UnknownMessage { tag: b'S' });
    assert_eq!(
        error(b"I\0\0\0\x01K\0\0"),
        DecodeError::UnknownTupleKind { message: "Insert", expected: "N", tag: b'K' }
    );
    assert_eq!(
        error(b"U\0\0\0\x01X\0\0"),
        DecodeError::UnknownTupleKind { message: "Update", expected: "N, K or O", tag: b'X' }
    );
    assert_eq!(
        error(b"U\0\0\0\x01K\0\0O\0\0"),
        DecodeError::UnknownTupleKind { message: "Update", expected: "N", tag: b'O' }
    );
    assert_eq!(
        error(b"D\0\0\0\x01N\0\0"),
        DecodeError::UnknownTupleKind { message: "Delete", expected: "K or O", tag: b'N' }
    );
    assert_eq!(error(b"I\0\0\0\x01N\0\x02nx"), DecodeError::UnknownColumnKind { column: 1, tag: b'x' });
    assert_eq!(error(b"R\0\0\0\x01s\0t\0x\0\0"), DecodeError::UnknownReplicaIdentity { tag: b'x' });
    assert_eq!(
        error(&[[b'C', 4].as_slice(), &[0; 24]].concat()),
        DecodeError::UnknownCommitFlags { flags: 4 }
    );
}

#[test]
fn a_negative_length_or_count_is_an_error() {
    let negative = |field| DecodeError::Negative { field, value: -1 };
    assert_eq!(error(b"I\0\0\0\x01N\0\x01t\xff\xff\xff\xff"), negative("column length"));
    assert_eq!(error(b"T\xff\xff\xff\xff\0"), negative("number of relations"));
    assert_eq!(error(b"M\0\0\0\0\0\0\0\0\0p\0\xff\xff\xff\xff"), negative("content length"));
}

/// Were memory reserved for what is announced, the second would ask for 8 GB.
#[test]
fn a_count_that_lies_is_refused_before_memory_is_reserved() {
    assert_eq!(
        error(b"R\0\0\0\x01s\0t\0d\xff\xff"),
        DecodeError::Truncated { field: "columns", need: 655_350, have: 0 }
    );
    assert_eq!(
        error(b"T\x7f\xff\xff\xff\0\0\0\0\x01"),
        DecodeError::Truncated { field: "relation OIDs", need: 8_589_934_588, have: 4 }
    );
}

#[test]
fn bytes_behind_the_end_are_counted() {
    assert_eq!(error(b"I\0\0\0\x01N\0\0ab"), DecodeError::TrailingBytes { message: "Insert", count: 2 });
}

#[test]
fn column_data_that_is_none_ends_the_iteration_for_good() {
    let mut columns = Columns::over(b"nt\0\0\0\x01axn");
    assert_eq!(columns.next(), Some(Column::Null));
    assert_eq!(columns.next(), Some(Column::Text(b"a")));
    assert_eq!(columns.next(), None);
    assert_eq!(columns.next(), None);
}

#[test]
fn debug_shows_names_but_no_values_of_rows_or_messages() {
    let insert = decode(b"I\0\0\0\x07N\0\x03t\0\0\0\x06secretnb\0\0\0\x06secret").unwrap();
    assert_eq!(format!("{insert:?}"), "Insert { relation: 7, new: [Text(6 bytes), Null, Binary(6 bytes)] }");
    let logical = decode(b"M\x01\0\0\0\0\0\0\0\x10app\0\0\0\0\x06secret").unwrap();
    assert!(matches!(logical, Message::Logical { content: b"secret", .. }));
    assert_eq!(
        format!("{logical:?}"),
        r#"Logical { transactional: true, lsn: 0/10, prefix: "app", content: 6 bytes }"#
    );
}
