//! The message that names a table and its columns before the first row that needs them.

use super::error::DecodeError;
use super::reader::Reader;

/// A Postgres object identifier.
pub type Oid = u32;

/// A table as the rows behind this message see it.
///
/// It comes again after every change of the table's definition, even within a transaction: rows before
/// it follow the older one. Names are bytes, for a `SQL_ASCII` database may hold other than UTF-8.
#[derive(Clone, PartialEq, Eq)]
pub struct RelationMessage<'a> {
    /// `pg_class.oid`: of the root when the publication says `publish_via_partition_root`.
    pub oid: Oid,
    /// The schema's name; empty for `pg_catalog`.
    pub schema: &'a [u8],
    /// The table's name.
    pub table: &'a [u8],
    /// What the table writes of old rows.
    pub identity: ReplicaIdentity,
    /// The published columns, in the order that tuples follow.
    pub columns: Vec<ColumnMessage<'a>>,
}

/// One column of a [`RelationMessage`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ColumnMessage<'a> {
    /// Whether the column is part of the replica identity; set on all columns under `FULL`.
    pub key: bool,
    /// The column's name.
    pub name: &'a [u8],
    /// `pg_attribute.atttypid`.
    pub type_oid: Oid,
    /// `pg_attribute.atttypmod`, -1 where the type takes none.
    pub type_modifier: i32,
}

/// `pg_class.relreplident` (Postgres manual, `ALTER TABLE`, `REPLICA IDENTITY`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReplicaIdentity {
    /// The primary key, if there is one.
    Default,
    /// Nothing of old rows; updates and deletes of a published table fail at their source.
    Nothing,
    /// The whole old row.
    Full,
    /// The columns of a chosen unique index.
    Index,
}

/// Flags byte, empty name with its zero byte, type, modifier.
const SMALLEST_COLUMN: usize = 1 + 1 + 4 + 4;

impl<'a> RelationMessage<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let oid = reader.u32("relation OID")?;
        let schema = reader.string("relation namespace")?;
        let table = reader.string("relation name")?;
        let identity = ReplicaIdentity::read(reader)?;
        let count = usize::from(reader.u16("number of columns")?);
        // A count that lies must not reserve memory.
        let (need, have) = (count * SMALLEST_COLUMN, reader.rest().len());
        if need > have {
            return Err(DecodeError::Truncated { field: "columns", need, have });
        }
        let mut columns = Vec::with_capacity(count);
        for _ in 0..count {
            columns.push(ColumnMessage::read(reader)?);
        }
        Ok(Self { oid, schema, table, identity, columns })
    }
}

impl<'a> ColumnMessage<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self {
            key: reader.u8("column flags")? & 1 != 0,
            name: reader.string("column name")?,
            type_oid: reader.u32("column type OID")?,
            type_modifier: reader.i32("column type modifier")?,
        })
    }
}

impl ReplicaIdentity {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.u8("replica identity")? {
            b'd' => Ok(Self::Default),
            b'n' => Ok(Self::Nothing),
            b'f' => Ok(Self::Full),
            b'i' => Ok(Self::Index),
            tag => Err(DecodeError::UnknownReplicaIdentity { tag }),
        }
    }
}
