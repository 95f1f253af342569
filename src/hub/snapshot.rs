//! A channel that is told its table's rows first, and then what their snapshot does not contain.
//!
//! Whether a change is in the snapshot is decided by its transaction's id, never by its place in the log: a commit is in the
//! log before others see it. So the replay window is searched from the first transaction that the snapshot does not see,
//! up to the mark, behind which it sees none.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::catch_up::{Behind, LOOK, LOW};
use super::connection::Connection;
use super::joining::Join;
use super::shard::Shard;
use crate::change::value::Profile;
use crate::channel::frame::{self, Frame};
use crate::channel::options::SnapshotOptions;
use crate::channel::serializer::{Reference, envelope};
use crate::channel::{Ending, Refusal};
use crate::lsn::Cursor;
use crate::metrics::COUNTED;
use crate::snapshot::Snapshot;
use crate::topic::pattern::Pattern;

/// How often a snapshot is taken anew, because something that it does not contain is no longer held.
const ATTEMPTS: usize = 20;

/// How long such a commit is given to be seen.
const HIDDEN: Duration = Duration::from_millis(100);

/// Pages on their way from the database.
const PAGES: usize = 2;

/// A snapshot that somebody wants.
#[derive(Debug)]
pub struct Wanted {
    /// Of which rows.
    pub pattern: Pattern,
    /// The most rows.
    pub limit: Option<u64>,
    /// How their values are told.
    pub profile: Profile,
    /// The mark to be written to the log when it has been taken.
    pub mark: String,
    /// Where it goes; nobody waits any more when it is closed.
    pub parts: mpsc::Sender<Part>,
}

/// What comes of a snapshot, in this order.
#[derive(Debug)]
pub enum Part {
    /// It has been taken.
    Begun(Snapshot),
    /// A page of its rows, as JSON.
    Rows(Bytes),
    /// It is over.
    Done {
        /// How many there were.
        rows: u64,
        /// Whether these are all.
        complete: bool,
    },
    /// It cannot be had.
    Failed(Refusal),
}

/// Why a channel gets no snapshot.
enum Broken {
    /// It is closed.
    Left,
    Refused(Refusal),
}

impl From<Refusal> for Broken {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Shard {
    /// Tells the channel its table's rows, and then what comes.
    pub(super) async fn snapshot(
        &self,
        connection: &Rc<Connection>,
        join: &Join,
        behind: Behind,
        options: SnapshotOptions,
    ) {
        match self.tell_snapshot(connection, join, &behind.pattern, options).await {
            Ok(mark) => {
                COUNTED.snapshots.count("outcome=\"told\"");
                self.catch_up(connection, join, Behind { cursor: mark, ..behind }).await;
            }
            Err(Broken::Left) => COUNTED.snapshots.count("outcome=\"left\""),
            Err(Broken::Refused(refusal)) => {
                tracing::debug!(%refusal, "a channel gets no snapshot");
                COUNTED.snapshots.count("outcome=\"failed\"");
                {
                    let state = &mut *connection.state.borrow_mut();
                    for effect in state.conversation.snapshot_failed(join.channel, &refusal) {
                        Connection::say(state, Some(effect));
                    }
                }
                connection.flush();
            }
        }
    }

    /// Returns the place of the mark: everything before it is told.
    async fn tell_snapshot(
        &self,
        connection: &Rc<Connection>,
        join: &Join,
        pattern: &Pattern,
        options: SnapshotOptions,
    ) -> Result<Cursor, Broken> {
        let surroundings = &self.surroundings;
        let mut attempts = 0;
        let (snapshot, mut cursor, mut parts, marked) = loop {
            let mark = format!("{:032x}", fastrand::u128(..));
            let marked = surroundings.interest.table().expect(&mark);
            let (send, mut parts) = mpsc::channel(PAGES);
            let SnapshotOptions { limit } = options;
            let (pattern, profile) = (pattern.clone(), join.lane.profile);
            let wanted = Wanted { pattern, limit, profile, mark, parts: send };
            let stopping = Refusal::Unavailable("the server is stopping");
            surroundings.door.snapshots.send(wanted).await.map_err(|_| stopping.clone())?;
            let snapshot = match parts.recv().await {
                Some(Part::Begun(snapshot)) => snapshot,
                Some(Part::Failed(refusal)) => return Err(refusal.into()),
                _ => return Err(stopping.into()),
            };
            let before = surroundings.replay.history().before(&snapshot);
            match before {
                Ok(cursor) => break (snapshot, cursor, parts, marked),
                Err(hidden) if attempts == ATTEMPTS => {
                    tracing::warn!(%hidden, "no snapshot can be told");
                    return Err(Refusal::SnapshotWindow.into());
                }
                Err(_) => attempts += 1,
            }
            tokio::time::sleep(HIDDEN).await;
        };
        let (rows, complete) = loop {
            match parts.recv().await {
                Some(Part::Rows(page)) => self.tell(connection, join, "snapshot", &page).await?,
                Some(Part::Done { rows, complete }) => break (rows, complete),
                Some(Part::Failed(refusal)) => return Err(refusal.into()),
                Some(Part::Begun(_)) | None => {
                    return Err(Refusal::Unavailable("the database did not answer").into());
                }
            }
        };
        let mark = self.marked(connection, join, marked).await?;
        loop {
            let part = surroundings.replay.part(cursor, pattern).map_err(|_| Refusal::SnapshotWindow)?;
            for told in &part.told {
                let hidden =
                    told.change().is_some_and(|(change, _, xid)| change.cursor < mark && !snapshot.sees(xid));
                if let Some(frame) = hidden.then(|| self.frame(join, told)).flatten() {
                    self.put(connection, join, &frame).await?;
                }
            }
            cursor = part.reached;
            if part.complete || cursor >= mark {
                break;
            }
            tokio::task::yield_now().await;
        }
        let epoch = surroundings.interest.table().position().1;
        let epoch = epoch.ok_or(Refusal::Unavailable("it never was"))?;
        let ending = Ending { position: mark, epoch, rows, complete };
        self.tell(connection, join, "snapshot_end", &ending.payload().into()).await?;
        COUNTED.snapshot_rows.add(rows);
        Ok(mark)
    }

    /// Waits for the mark. It never comes if the stream goes on in another epoch, but then the channel has been told.
    async fn marked(
        &self,
        connection: &Rc<Connection>,
        join: &Join,
        mut marked: oneshot::Receiver<Cursor>,
    ) -> Result<Cursor, Broken> {
        loop {
            match tokio::time::timeout(LOOK, &mut marked).await {
                Ok(mark) => return mark.map_err(|_| Broken::Left),
                Err(_) if !connection.serves(join.channel) => {
                    return Err(Broken::Left);
                }
                Err(_) => {}
            }
        }
    }

    async fn tell(
        &self,
        connection: &Rc<Connection>,
        join: &Join,
        event: &str,
        payload: &Bytes,
    ) -> Result<(), Broken> {
        let null = Reference::null();
        let around = envelope(join.lane.version, &null, &null, &join.spelled, event);
        let write = if join.lane.deflate { frame::deflated } else { frame::around };
        let (frame, _) = write(payload, &[(&around.prefix, &around.suffix)]);
        self.put(connection, join, &frame).await
    }

    async fn put(&self, connection: &Rc<Connection>, join: &Join, frame: &Frame) -> Result<(), Broken> {
        let wanted = || connection.serves(join.channel);
        if !wanted() || !connection.drained(LOW).await || !wanted() {
            return Err(Broken::Left);
        }
        connection.state.borrow_mut().outbox.push(frame);
        Ok(())
    }
}
