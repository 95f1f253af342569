//! Rows as they come: columns in order, without names, which the relation's message gave before.

use std::fmt;

use super::error::DecodeError;
use super::reader::Reader;

/// One row's columns, checked when decoded. `Debug` shows the columns' kinds and sizes, no values.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Tuple<'a> {
    pub(super) columns: u16,
    pub(super) bytes: &'a [u8],
}

impl<'a> Tuple<'a> {
    /// How many columns the tuple has; a table may have none.
    #[must_use]
    pub const fn columns(&self) -> u16 {
        self.columns
    }

    /// The raw column data without the count, to be stored and read again with [`Columns::over`].
    #[must_use]
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The columns in the relation's order: exactly [`Tuple::columns`] of them.
    #[must_use]
    pub const fn iter(&self) -> Columns<'a> {
        Columns::over(self.bytes)
    }

    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let columns = reader.u16("number of columns")?;
        let start = reader.rest();
        for column in 0..columns {
            Column::read(reader, column)?;
        }
        let length = start.len() - reader.rest().len();
        let bytes = start.get(..length).unwrap_or_default();
        Ok(Self { columns, bytes })
    }
}

impl<'a> IntoIterator for Tuple<'a> {
    type Item = Column<'a>;
    type IntoIter = Columns<'a>;

    fn into_iter(self) -> Columns<'a> {
        self.iter()
    }
}

impl<'a> IntoIterator for &Tuple<'a> {
    type Item = Column<'a>;
    type IntoIter = Columns<'a>;

    fn into_iter(self) -> Columns<'a> {
        self.iter()
    }
}

impl fmt::Debug for Tuple<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// What a row was before its change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OldTuple<'a> {
    /// The replica identity's columns (`K`). The others come as [`Column::Null`] whatever they held:
    /// only columns whose [`key`](super::ColumnMessage::key) is set mean something.
    Key(Tuple<'a>),
    /// The whole row, under `REPLICA IDENTITY FULL` (`O`).
    Full(Tuple<'a>),
}

impl<'a> OldTuple<'a> {
    /// The tuple itself, whichever of its columns mean something.
    #[must_use]
    pub const fn tuple(&self) -> Tuple<'a> {
        match self {
            Self::Key(tuple) | Self::Full(tuple) => *tuple,
        }
    }
}

/// One column's value. `Debug` shows its kind and size, not the value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Column<'a> {
    /// SQL NULL (`n`).
    Null,
    /// A value in TOAST that the change did not touch (`u`): Postgres does not send it. Under
    /// `REPLICA IDENTITY FULL` the old tuple has it.
    Unchanged,
    /// The type's text form (`t`), in the session's client encoding.
    Text(&'a [u8]),
    /// The type's `send` form (`b`), only when the plugin's option `binary` is on.
    Binary(&'a [u8]),
}

impl<'a> Column<'a> {
    #[inline]
    fn read(reader: &mut Reader<'a>, column: u16) -> Result<Self, DecodeError> {
        match reader.u8("column kind")? {
            b't' => Self::value(reader).map(Self::Text),
            b'n' => Ok(Self::Null),
            b'u' => Ok(Self::Unchanged),
            b'b' => Self::value(reader).map(Self::Binary),
            tag => Err(DecodeError::UnknownColumnKind { column, tag }),
        }
    }

    #[inline]
    fn value(reader: &mut Reader<'a>) -> Result<&'a [u8], DecodeError> {
        let length = reader.length("column length")?;
        reader.bytes(length, "column value")
    }
}

impl fmt::Debug for Column<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("Null"),
            Self::Unchanged => f.write_str("Unchanged"),
            Self::Text(value) => write!(f, "Text({} bytes)", value.len()),
            Self::Binary(value) => write!(f, "Binary({} bytes)", value.len()),
        }
    }
}

/// The columns of raw tuple data, one after the other.
#[derive(Clone)]
pub struct Columns<'a> {
    reader: Reader<'a>,
}

impl<'a> Columns<'a> {
    /// Reads what [`Tuple::bytes`] gave out. Bytes that came from elsewhere and are no column data
    /// end the iteration at the first column that cannot be read.
    #[must_use]
    pub const fn over(bytes: &'a [u8]) -> Self {
        Self { reader: Reader::new(bytes) }
    }
}

impl<'a> Iterator for Columns<'a> {
    type Item = Column<'a>;

    #[inline]
    fn next(&mut self) -> Option<Column<'a>> {
        let column = Column::read(&mut self.reader, 0).ok();
        if column.is_none() {
            self.reader = Reader::new(&[]);
        }
        column
    }
}

impl std::iter::FusedIterator for Columns<'_> {}

impl fmt::Debug for Columns<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone()).finish()
    }
}
