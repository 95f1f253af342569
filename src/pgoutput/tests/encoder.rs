//! Messages to bytes: the reverse of the decoder, written from the manual's tables.

use crate::pgoutput::{Column, Message, OldTuple, RelationMessage, ReplicaIdentity, Tuple};

pub(super) fn encode(message: &Message<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    match message {
        Message::Begin { final_lsn, commit_time, xid } => {
            out.push(b'B');
            out.extend(final_lsn.0.to_be_bytes());
            out.extend(commit_time.to_be_bytes());
            out.extend(xid.to_be_bytes());
        }
        Message::Commit { lsn, end_lsn, commit_time } => {
            out.extend([b'C', 0]);
            out.extend(lsn.0.to_be_bytes());
            out.extend(end_lsn.0.to_be_bytes());
            out.extend(commit_time.to_be_bytes());
        }
        Message::Origin { lsn, name } => {
            out.push(b'O');
            out.extend(lsn.0.to_be_bytes());
            string(&mut out, name);
        }
        Message::Relation(relation) => encode_relation(&mut out, relation),
        Message::Type { oid, schema, name } => {
            out.push(b'Y');
            out.extend(oid.to_be_bytes());
            string(&mut out, schema);
            string(&mut out, name);
        }
        Message::Insert { relation, new } => {
            out.push(b'I');
            out.extend(relation.to_be_bytes());
            tuple(&mut out, b'N', new);
        }
        Message::Update { relation, old, new } => {
            out.push(b'U');
            out.extend(relation.to_be_bytes());
            if let Some(old) = old {
                old_tuple(&mut out, old);
            }
            tuple(&mut out, b'N', new);
        }
        Message::Delete { relation, old } => {
            out.push(b'D');
            out.extend(relation.to_be_bytes());
            old_tuple(&mut out, old);
        }
        Message::Truncate { cascade, restart_identity, relations } => {
            out.push(b'T');
            out.extend(u32::try_from(relations.len()).unwrap().to_be_bytes());
            out.push(u8::from(*cascade) | u8::from(*restart_identity) << 1);
            out.extend(relations.iter().flat_map(|oid| oid.to_be_bytes()));
        }
        Message::Logical { transactional, lsn, prefix, content } => {
            out.extend([b'M', u8::from(*transactional)]);
            out.extend(lsn.0.to_be_bytes());
            string(&mut out, prefix);
            sized(&mut out, content);
        }
    }
    out
}

fn encode_relation(out: &mut Vec<u8>, relation: &RelationMessage<'_>) {
    out.push(b'R');
    out.extend(relation.oid.to_be_bytes());
    string(out, relation.schema);
    string(out, relation.table);
    out.push(match relation.identity {
        ReplicaIdentity::Default => b'd',
        ReplicaIdentity::Nothing => b'n',
        ReplicaIdentity::Full => b'f',
        ReplicaIdentity::Index => b'i',
    });
    out.extend(u16::try_from(relation.columns.len()).unwrap().to_be_bytes());
    for column in &relation.columns {
        out.push(u8::from(column.key));
        string(out, column.name);
        out.extend(column.type_oid.to_be_bytes());
        out.extend(column.type_modifier.to_be_bytes());
    }
}

fn old_tuple(out: &mut Vec<u8>, old: &OldTuple<'_>) {
    match old {
        OldTuple::Key(key) => tuple(out, b'K', key),
        OldTuple::Full(row) => tuple(out, b'O', row),
    }
}

fn tuple(out: &mut Vec<u8>, kind: u8, tuple: &Tuple<'_>) {
    out.push(kind);
    out.extend(tuple.columns().to_be_bytes());
    for column in tuple {
        encode_column(out, column);
    }
}

pub(super) fn encode_column(out: &mut Vec<u8>, column: Column<'_>) {
    match column {
        Column::Null => out.push(b'n'),
        Column::Unchanged => out.push(b'u'),
        Column::Text(value) => {
            out.push(b't');
            sized(out, value);
        }
        Column::Binary(value) => {
            out.push(b'b');
            sized(out, value);
        }
    }
}

fn string(out: &mut Vec<u8>, string: &[u8]) {
    out.extend(string);
    out.push(0);
}

fn sized(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend(u32::try_from(bytes.len()).unwrap().to_be_bytes());
    out.extend(bytes);
}
