//! Messages captured from real servers.

use super::capture::{self, CAPTURES};
use super::encoder::encode;
use super::render::render;
use crate::lsn::Lsn;
use crate::pgoutput::{Columns, DecodeError, Message, OldTuple, Tuple, decode};

#[test]
fn captured_messages_read_as_their_committed_renderings() {
    for name in CAPTURES {
        let rendered = render(&capture::load(name));
        let path = capture::path(&format!("{name}.txt"));
        if std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
            std::fs::write(&path, &rendered).unwrap();
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        for (number, (rendered, expected)) in rendered.lines().zip(expected.lines()).enumerate() {
            assert_eq!(rendered, expected, "{}, line {}", path.display(), number + 1);
        }
        assert_eq!(rendered.lines().count(), expected.lines().count(), "{}", path.display());
    }
}

#[test]
fn captured_messages_encode_to_the_same_bytes() {
    for bytes in capture::all_messages() {
        let message = decode(&bytes).unwrap();
        assert_eq!(encode(&message), bytes, "{message:?}");
    }
}

/// What the renderings leave out, against what the server's functions say of it.
#[test]
fn positions_transaction_ids_and_times_agree_with_the_servers_own() {
    for name in CAPTURES {
        let capture = capture::load(name);
        let mut open = None;
        let mut last_final_lsn = Lsn(0);
        let mut commits = 0;
        for captured in &capture.messages {
            match decode(&captured.bytes).unwrap() {
                Message::Begin { final_lsn, commit_time, xid } => {
                    assert_eq!(open, None, "{name}");
                    assert_eq!(xid, captured.xid, "{name}");
                    assert_eq!(Some(&commit_time), capture.commit_times.get(&xid), "{name}, xid {xid}");
                    assert!(final_lsn > last_final_lsn, "{name}: {final_lsn} after {last_final_lsn}");
                    last_final_lsn = final_lsn;
                    open = Some((final_lsn, commit_time));
                }
                Message::Commit { lsn, end_lsn, commit_time } => {
                    assert_eq!(open.take(), Some((lsn, commit_time)), "{name}");
                    assert_eq!(end_lsn, captured.lsn, "{name}");
                    assert!(end_lsn > lsn, "{name}");
                    commits += 1;
                }
                Message::Logical { transactional, lsn, .. } => {
                    assert_eq!(lsn, captured.lsn, "{name}");
                    assert_eq!(transactional, open.is_some(), "{name}");
                }
                _ => assert!(open.is_some(), "{name}: a change outside of a transaction"),
            }
        }
        assert_eq!(open, None, "{name}");
        assert_eq!(commits, capture.commit_times.len(), "{name}");
    }
}

#[test]
fn every_strict_prefix_of_a_captured_message_is_cut() {
    for bytes in capture::all_messages() {
        for end in 0..bytes.len() {
            let error = decode(&bytes[..end]).unwrap_err();
            let cut = matches!(error, DecodeError::Truncated { .. } | DecodeError::Unterminated { .. });
            assert!(cut, "{error} in {end} bytes of {:?}", decode(&bytes));
        }
    }
}

#[test]
fn a_byte_behind_a_captured_message_is_an_error() {
    for mut bytes in capture::all_messages() {
        bytes.push(0);
        let error = decode(&bytes).unwrap_err();
        assert!(matches!(error, DecodeError::TrailingBytes { count: 1, .. }), "{error}");
    }
}

#[test]
fn stored_column_data_reads_back_as_the_tuple_it_came_from() {
    let mut tuples = 0;
    for bytes in capture::all_messages() {
        let both: [Option<Tuple<'_>>; 2] = match decode(&bytes).unwrap() {
            Message::Insert { new, .. } => [Some(new), None],
            Message::Update { old, new, .. } => [old.map(|old| old.tuple()), Some(new)],
            Message::Delete { old: OldTuple::Key(old) | OldTuple::Full(old), .. } => [Some(old), None],
            _ => [None, None],
        };
        for tuple in both.into_iter().flatten() {
            assert!(Columns::over(tuple.bytes()).eq(tuple.iter()));
            assert_eq!(tuple.iter().count(), usize::from(tuple.columns()));
            tuples += 1;
        }
    }
    assert!(tuples > 100, "only {tuples} tuples captured");
}
