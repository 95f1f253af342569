//! What is known when a run has ended.

use crate::graphql::read_set::ReadSet;
use crate::live::watching::Watching;
use crate::lsn::Cursor;
use crate::snapshot::Snapshot;

/// What a run found out.
#[derive(Debug)]
pub struct Outcome {
    pub(super) watches: Vec<Watching>,
    /// `None` where the statement failed.
    pub(super) snapshot: Option<Snapshot>,
    /// The error may pass by itself.
    pub(super) passing: bool,
}

impl Outcome {
    /// A result with what it depends on.
    #[must_use]
    pub fn of(read: ReadSet, snapshot: Snapshot) -> Self {
        let watches = read.watches.into_iter().map(Watching::of).collect();
        Self { watches, snapshot: Some(snapshot), passing: false }
    }

    /// An error with what it may depend on; `passing` says that it may go away without any change.
    #[must_use]
    pub fn failed(read: ReadSet, passing: bool) -> Self {
        let watches = read.watches.into_iter().map(Watching::of).collect();
        Self { watches, snapshot: None, passing }
    }
}

/// Why a live query runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Why {
    /// It is new.
    #[default]
    New,
    /// A change touched its result.
    Change,
    /// A change that touched it was not visible yet.
    Hidden,
    /// It was invalidated by name.
    Named,
    /// Changes, or a change of the schema, may have been missed.
    Interrupted,
    /// The run before failed.
    Failed,
}

/// What is told of a run when it has ended.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// Why it ran, if there was one reason, or the first.
    pub why: Why,
    /// What made it run, as resource identifiers; only if asked for.
    pub causes: Vec<String>,
    /// The newest change that the result contains, as far as is known.
    pub cursor: Cursor,
}
