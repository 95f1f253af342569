//! One topic, read from the replay window at the pace of whoever reads: what `/events`, `/poll` and Phoenix' long polling
//! have in common. Nothing is queued for such a client.

use std::sync::Arc;

use tokio::sync::watch;

use super::refused::Refused;
use crate::change::Change;
use crate::change::value::Profile;
use crate::channel::{Admission, Refusal};
use crate::history::Resumption;
use crate::hub::{Approval, Hub, Joined, Listening, Reader};
use crate::lsn::{Cursor, Epoch, Since};
use crate::replay::{Part, Replay, Told};
use crate::topic::Topic;
use crate::topic::pattern::Pattern;

/// Bytes that are gathered before they are sent; one change may be larger.
pub(super) const PIECE: usize = 64 * 1024;

/// A reader of one topic.
pub(super) struct Reading {
    replay: Replay,
    listening: Listening,
    /// Under its topic, the reader is found.
    _joined: Joined,
    pattern: Pattern,
    cursor: Cursor,
    epoch: Epoch,
}

/// What a reader wants.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// The topic, as the client spells it.
    pub(super) spelled: &'a Arc<str>,
    /// From where on.
    pub(super) since: Option<Since>,
    /// How values become JSON.
    pub(super) profile: Profile,
    /// Whether each change is told as `*` too.
    pub(super) star: bool,
}

/// Changes behind the cursor are not held any more, or the history is another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Missed {
    /// `window` or `epoch`, as in the reply to a join.
    pub(super) reason: &'static str,
    /// The oldest cursor from which one can go on.
    pub(super) oldest: Cursor,
}

impl Missed {
    /// `None` where nothing is.
    pub(super) const fn of(resumption: Resumption) -> Option<Self> {
        match resumption {
            Resumption::Held(_) => None,
            Resumption::Epoch { oldest } => Some(Self { reason: "epoch", oldest }),
            Resumption::Window { oldest } => Some(Self { reason: "window", oldest }),
        }
    }
}

/// Asks whether a topic may be read, for as long as the server runs.
pub(super) async fn ask(
    hub: &Hub,
    topic: Topic,
    stop: &mut watch::Receiver<bool>,
) -> Result<Approval, Refused> {
    if !hub.replay().history().is_on() {
        return Err(Refused::WindowOff);
    }
    tokio::select! {
        biased;
        () = stopped(stop) => Err(Refusal::Unavailable("the server is stopping").into()),
        approval = hub.ask(topic) => Ok(approval?),
    }
}

/// Resolves when the server stops.
pub(super) async fn stopped(stop: &mut watch::Receiver<bool>) {
    // Without a sender there is no server left.
    let _ = stop.wait_for(|stop| *stop).await;
}

impl Reading {
    /// Begins behind `since` if that is held, else at the server's position or the oldest that is held, whichever is later;
    /// the admission says which.
    pub(super) fn begin(
        hub: &Hub,
        reader: &Reader,
        approval: Approval,
        wanted: &Wanted<'_>,
    ) -> Result<(Self, Admission), Refusal> {
        let Wanted { spelled, since, profile, star } = *wanted;
        let Approval { pattern, warnings } = approval;
        let listening = hub.listen(spelled, &pattern)?;
        let (position, epoch) = listening.position();
        let epoch = epoch.ok_or(Refusal::Unavailable("it never was"))?;
        let (here, resumption) = {
            let history = hub.replay().history();
            let here = history.resume(&Since { cursor: position, epoch: Some(epoch) });
            (here, since.map(|since| history.resume(&since)))
        };
        // What comes is put into the window first, and then makes a position: for a moment, the window may begin behind it,
        // or be of another history.
        let position = match here {
            Resumption::Held(position) => position,
            Resumption::Window { oldest } => oldest,
            Resumption::Epoch { .. } => return Err(Refusal::Unavailable("it begins anew")),
        };
        let cursor = match resumption {
            Some(Resumption::Held(cursor)) => cursor,
            _ => position,
        };
        let joined = reader.join(spelled, profile, star);
        let replay = hub.replay().clone();
        let reading = Self { replay, listening, _joined: joined, pattern, cursor, epoch };
        Ok((reading, Admission { position, epoch, resumption, snapshot: false, warnings }))
    }

    /// Some of what comes next. The reader goes on behind it once it has said how far it came ([`Reading::advance`]).
    pub(super) fn read(&self) -> Result<Part, Missed> {
        // What is routed was put into the window before: whatever lies at or before this position is found there.
        let (position, epoch) = self.listening.position();
        let part = self.replay.part(self.cursor, &self.pattern);
        let since = Since { cursor: self.cursor, epoch: Some(self.epoch) };
        // Asked behind the reading, so that it was of this history.
        if let Some(missed) = Missed::of(self.replay.history().resume(&since)) {
            return Err(missed);
        }
        let mut part = part.map_err(|fallen| Missed { reason: "window", oldest: fallen.oldest })?;
        if part.complete && epoch == Some(self.epoch) {
            part.reached = part.reached.max(position);
        }
        Ok(part)
    }

    /// Hands over what comes next, until `take` wants no more; `true` when nothing more is held.
    pub(super) fn take(&mut self, mut take: impl FnMut(&Change, &Told) -> bool) -> Result<bool, Missed> {
        let part = self.read()?;
        for told in &part.told {
            let Some((change, ..)) = told.change() else { continue };
            let more = take(change, told);
            self.cursor = change.cursor;
            if !more {
                return Ok(false);
            }
        }
        self.cursor = part.reached;
        Ok(part.complete)
    }

    /// Everything that matches up to `cursor` was told.
    pub(super) fn advance(&mut self, cursor: Cursor) {
        self.cursor = self.cursor.max(cursor);
    }

    /// Waits until there may be more.
    pub(super) async fn changed(&mut self) {
        self.listening.changed().await;
    }

    /// The history that its cursors belong to.
    pub(super) const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Where the server is, in one token.
    pub(super) fn here(&self) -> String {
        let (position, epoch) = self.listening.position();
        format!("{}.{position}", epoch.unwrap_or(self.epoch))
    }

    /// Where the reader is, in one token: `EPOCH.CURSOR`.
    pub(super) fn token(&self) -> String {
        format!("{}.{}", self.epoch, self.cursor)
    }
}
