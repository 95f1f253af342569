//! Properties over arbitrary bytes and arbitrary messages.

use std::sync::OnceLock;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::capture;
use super::encoder::{encode, encode_column};
use crate::lsn::Lsn;
use crate::pgoutput::{
    Column, ColumnMessage, Columns, Message, OldTuple, RelationMessage, ReplicaIdentity, Tuple, decode,
};

fn captured() -> &'static [Vec<u8>] {
    static CAPTURED: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    CAPTURED.get_or_init(capture::all_messages)
}

/// Decodes, and if that succeeds holds the decoder to its word on the rows.
fn decode_soundly(bytes: &[u8]) {
    let sound = |tuple: Tuple<'_>| {
        assert_eq!(tuple.iter().count(), usize::from(tuple.columns()));
        let mut again = Vec::new();
        tuple.iter().for_each(|column| encode_column(&mut again, column));
        assert_eq!(again, tuple.bytes());
    };
    match decode(bytes) {
        Ok(Message::Insert { new, .. }) => sound(new),
        Ok(Message::Update { old, new, .. }) => {
            if let Some(old) = old {
                sound(old.tuple());
            }
            sound(new);
        }
        Ok(Message::Delete { old, .. }) => sound(old.tuple()),
        Ok(message) => drop(format!("{message:?}")),
        Err(error) => drop(error.to_string()),
    }
}

/// A message with owned parts, from which the borrowed one is made.
#[derive(Clone, Debug)]
enum Owned {
    Begin(u64, i64, u32),
    Commit(u64, u64, i64),
    Origin(u64, Vec<u8>),
    Relation {
        oid: u32,
        names: [Vec<u8>; 2],
        identity: ReplicaIdentity,
        columns: Vec<(bool, Vec<u8>, u32, i32)>,
    },
    Type(u32, [Vec<u8>; 2]),
    Insert(u32, Row),
    Update(u32, Option<(bool, Row)>, Row),
    Delete(u32, (bool, Row)),
    Truncate(bool, bool, Vec<u32>),
    Logical {
        transactional: bool,
        lsn: u64,
        prefix: Vec<u8>,
        content: Vec<u8>,
    },
}

/// Column data as it would be stored, and the number of columns.
#[derive(Clone, Debug)]
struct Row {
    columns: u16,
    bytes: Vec<u8>,
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    vec(1..=u8::MAX, 0..12)
}

fn row() -> impl Strategy<Value = Row> {
    let value = || vec(any::<u8>(), 0..20);
    let column = prop_oneof![
        Just((b'n', Vec::new())),
        Just((b'u', Vec::new())),
        value().prop_map(|value| (b't', value)),
        value().prop_map(|value| (b'b', value)),
    ];
    vec(column, 0..12).prop_map(|columns| {
        let mut bytes = Vec::new();
        for (kind, value) in &columns {
            encode_column(
                &mut bytes,
                match kind {
                    b'n' => Column::Null,
                    b'u' => Column::Unchanged,
                    b't' => Column::Text(value),
                    _ => Column::Binary(value),
                },
            );
        }
        Row { columns: u16::try_from(columns.len()).unwrap(), bytes }
    })
}

fn message() -> impl Strategy<Value = Owned> {
    let names = || [name(), name()];
    let identity = prop_oneof![
        Just(ReplicaIdentity::Default),
        Just(ReplicaIdentity::Nothing),
        Just(ReplicaIdentity::Full),
        Just(ReplicaIdentity::Index),
    ];
    let columns = vec((any::<bool>(), name(), any::<u32>(), any::<i32>()), 0..8);
    let old = || (any::<bool>(), row());
    prop_oneof![
        any::<(u64, i64, u32)>().prop_map(|(lsn, time, xid)| Owned::Begin(lsn, time, xid)),
        any::<(u64, u64, i64)>().prop_map(|(lsn, end, time)| Owned::Commit(lsn, end, time)),
        (any::<u64>(), name()).prop_map(|(lsn, name)| Owned::Origin(lsn, name)),
        (any::<u32>(), names(), identity, columns)
            .prop_map(|(oid, names, identity, columns)| Owned::Relation { oid, names, identity, columns }),
        (any::<u32>(), names()).prop_map(|(oid, names)| Owned::Type(oid, names)),
        (any::<u32>(), row()).prop_map(|(oid, new)| Owned::Insert(oid, new)),
        (any::<u32>(), proptest::option::of(old()), row())
            .prop_map(|(oid, old, new)| Owned::Update(oid, old, new)),
        (any::<u32>(), old()).prop_map(|(oid, old)| Owned::Delete(oid, old)),
        (any::<bool>(), any::<bool>(), vec(any::<u32>(), 0..6))
            .prop_map(|(cascade, restart, oids)| Owned::Truncate(cascade, restart, oids)),
        (any::<bool>(), any::<u64>(), name(), vec(any::<u8>(), 0..40)).prop_map(
            |(transactional, lsn, prefix, content)| Owned::Logical { transactional, lsn, prefix, content }
        ),
    ]
}

impl Row {
    fn tuple(&self) -> Tuple<'_> {
        Tuple { columns: self.columns, bytes: &self.bytes }
    }
}

fn old_tuple((full, row): &(bool, Row)) -> OldTuple<'_> {
    if *full { OldTuple::Full(row.tuple()) } else { OldTuple::Key(row.tuple()) }
}

impl Owned {
    fn borrow(&self) -> Message<'_> {
        match self {
            Self::Begin(lsn, time, xid) => {
                Message::Begin { final_lsn: Lsn(*lsn), commit_time: *time, xid: *xid }
            }
            Self::Commit(lsn, end, time) => {
                Message::Commit { lsn: Lsn(*lsn), end_lsn: Lsn(*end), commit_time: *time }
            }
            Self::Origin(lsn, name) => Message::Origin { lsn: Lsn(*lsn), name },
            Self::Relation { oid, names: [schema, table], identity, columns } => {
                let columns = columns
                    .iter()
                    .map(|(key, name, type_oid, type_modifier)| ColumnMessage {
                        key: *key,
                        name,
                        type_oid: *type_oid,
                        type_modifier: *type_modifier,
                    })
                    .collect();
                Message::Relation(RelationMessage { oid: *oid, schema, table, identity: *identity, columns })
            }
            Self::Type(oid, [schema, name]) => Message::Type { oid: *oid, schema, name },
            Self::Insert(oid, new) => Message::Insert { relation: *oid, new: new.tuple() },
            Self::Update(oid, old, new) => {
                Message::Update { relation: *oid, old: old.as_ref().map(old_tuple), new: new.tuple() }
            }
            Self::Delete(oid, old) => Message::Delete { relation: *oid, old: old_tuple(old) },
            Self::Truncate(cascade, restart_identity, relations) => Message::Truncate {
                cascade: *cascade,
                restart_identity: *restart_identity,
                relations: relations.clone(),
            },
            Self::Logical { transactional, lsn, prefix, content } => {
                Message::Logical { transactional: *transactional, lsn: Lsn(*lsn), prefix, content }
            }
        }
    }
}

proptest! {
    #[test]
    fn decode_never_panics_on_arbitrary_bytes(bytes in vec(any::<u8>(), 0..200)) {
        decode_soundly(&bytes);
        prop_assert!(Columns::over(&bytes).count() <= bytes.len());
    }

    #[test]
    fn decode_never_panics_behind_a_known_message_type(
        tag in proptest::sample::select(b"BCORYIUDTM".as_slice()),
        rest in vec(
            prop_oneof![Just(0), 0..4_u8, proptest::sample::select(b"NKOntub".as_slice()), any::<u8>()],
            0..60,
        ),
    ) {
        decode_soundly(&[&[tag], rest.as_slice()].concat());
    }

    #[test]
    fn decode_never_panics_on_a_captured_message_cut_and_damaged(
        which in any::<Index>(),
        cut in proptest::option::of(any::<Index>()),
        flips in vec((any::<Index>(), 0..8_u32), 1..6),
    ) {
        let mut bytes = which.get(captured()).clone();
        if let Some(cut) = cut {
            bytes.truncate(1 + cut.index(bytes.len()));
        }
        for (byte, bit) in flips {
            // Damage near the front, where the structure is, as often as anywhere.
            let reach = if bit % 2 == 0 { bytes.len() } else { bytes.len().min(40) };
            bytes[byte.index(reach)] ^= 1 << bit;
        }
        decode_soundly(&bytes);
    }

    #[test]
    fn an_encoded_message_decodes_to_itself_and_none_of_its_strict_prefixes_does(owned in message()) {
        let message = owned.borrow();
        let bytes = encode(&message);
        prop_assert_eq!(decode(&bytes), Ok(message));
        for end in 0..bytes.len() {
            prop_assert!(decode(&bytes[..end]).is_err(), "{} of {} bytes", end, bytes.len());
        }
    }
}
