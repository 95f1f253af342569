//! The replay window, shared: the dispatcher writes it, whoever comes back or reads at its own pace asks it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::change::Change;
use crate::change::wire::Telling;
use crate::history::{Bounds, Fallen, Held, History};
use crate::lsn::{Cursor, Epoch};
use crate::topic::pattern::Pattern;

/// Changes looked at between two looks at the clock: whoever replays shares its thread with others.
const CHANGES: usize = 256;

/// A handle; clones share the window.
#[derive(Clone, Debug)]
pub struct Replay(Arc<Mutex<History>>);

/// A change that a pattern matches.
#[derive(Clone, Debug)]
pub struct Told {
    held: Held,
    /// The history that it is of.
    pub epoch: Option<Epoch>,
    /// As what it is told.
    pub telling: Telling,
}

impl Told {
    /// The change, with its transaction's `commit_timestamp` and id.
    #[must_use]
    pub fn change(&self) -> Option<(&Change, &str, u32)> {
        let transaction = self.held.transaction();
        Some((self.held.change()?, &transaction.commit_timestamp, transaction.xid))
    }
}

/// Some of what a pattern matches.
#[derive(Clone, Debug)]
pub struct Part {
    /// In the order of their cursors.
    pub told: Vec<Told>,
    /// All that matches up to here is told.
    pub reached: Cursor,
    /// Nothing more is held.
    pub complete: bool,
}

impl Replay {
    /// A window that holds nothing yet.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Self(Arc::new(Mutex::new(History::new(bounds))))
    }

    /// Takes the lock, for a look-up. No holder can leave the window half changed, so that poison is ignored.
    pub fn history(&self) -> MutexGuard<'_, History> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What `pattern` matches behind `after`, as far as a few hundred changes go.
    ///
    /// # Errors
    /// When changes behind `after` are no longer held.
    pub fn part(&self, after: Cursor, pattern: &Pattern) -> Result<Part, Fallen> {
        let (epoch, batch) = {
            let history = self.history();
            (history.epoch(), history.behind(after, pattern.table(), CHANGES)?)
        };
        // Out of the lock: a filter may be costly.
        let told = batch.changes.into_iter().filter_map(|held| {
            let telling = pattern.tells(held.change()?)?;
            Some(Told { held, epoch, telling })
        });
        Ok(Part { told: told.collect(), reached: batch.reached, complete: batch.complete })
    }
}
