//! The slot task: connects, streams, decodes, hands over, acknowledges, and begins again.

mod catching_up;
mod closing;
mod connecting;
mod handed;
mod liveness;

pub(super) use connecting::probe;

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use pgwire_replication::{ReplicationClient, ReplicationEvent};
use tokio::sync::watch;

use super::backoff::Backoff;
use super::session::{CONNECT_SECONDS, Session};
use super::setup::slot::{self, Dead};
use super::setup::{self, Prepared, Source};
use super::{Class, Login, PostgresError, types};
use crate::change::assembler::{Assembler, AssemblyError};
use crate::change::message::Content;
use crate::dispatch::{Inlet, Watches};
use crate::lsn::{Cursor, Epoch, Lsn};
use crate::metrics::COUNTED;
use crate::pgoutput::{self, Message};
use crate::readiness::{Phase, Readiness};
use catching_up::CatchingUp;
use handed::Handed;
use liveness::{LastWords, Patience, ShutdownSigns};

/// How long our own statements may take altogether, in seconds; each by itself ends sooner, by the session's
/// `statement_timeout`, unless the server has vanished.
const PREPARE_SECONDS: u64 = 30;

/// The task that reads the slot.
pub struct Reader {
    login: Login,
    session: Session,
    source: Source,
    /// The largest message accepted, in bytes.
    row_bytes: usize,
    inlet: Inlet,
    watches: Watches,
    stop: watch::Receiver<bool>,
    handed: Handed,
    epoch: Option<Epoch>,
    was_live: bool,
    /// The process that serves the session, or served the last one and may still hold the slot.
    walsender: Option<i32>,
    /// Of whoever held the slot when this was last asked.
    last_words: Option<LastWords>,
    /// How much silence the next session bears.
    patience: Patience,
}

impl Reader {
    /// A reader of `source` in the database of `login`.
    #[must_use]
    pub fn new(
        login: Login,
        session: Session,
        source: Source,
        row_bytes: usize,
        inlet: Inlet,
        watches: Watches,
        stop: watch::Receiver<bool>,
    ) -> Self {
        Self {
            login,
            session,
            source,
            row_bytes,
            inlet,
            watches,
            stop,
            handed: Handed::default(),
            epoch: None,
            was_live: false,
            walsender: None,
            last_words: None,
            patience: Patience::default(),
        }
    }

    /// Streams until told to stop.
    ///
    /// # Errors
    /// When the operator has to mend something before it could start, or the stream cannot be read.
    pub async fn run(mut self) -> Result<(), PostgresError> {
        let mut backoff = Backoff::default();
        loop {
            let mut stop = self.stop.clone();
            let watches = self.watches.clone();
            let error = tokio::select! {
                // Only an idle wait is cut off here: a session sees the stop itself, to end in order.
                ended = Box::pin(self.session()) => match ended {
                    Ok(()) => return Ok(()),
                    Err(error) => error,
                },
                () = stopped_before_session(&mut stop, &watches) => return Ok(()),
            };
            if *self.stop.borrow() {
                return Ok(());
            }
            // The SQL session may have died with the stream, and as silently.
            self.session.discard().await;
            let live = self.watches.readiness.borrow().is_live();
            self.was_live |= live;
            let undescribed = matches!(error, PostgresError::Assembly(AssemblyError::UnknownRelation { .. }));
            let class = if undescribed && self.handed.undescribed() { Class::Retry } else { error.class() };
            match class {
                Class::Bug => return Err(error),
                Class::Operator if !self.was_live => return Err(error),
                Class::Operator | Class::Retry => {}
            }
            if live {
                backoff = Backoff::default();
            }
            let in_use =
                matches!(error, PostgresError::SlotInUse { .. }) || error.sqlstate() == Some("55006");
            COUNTED.failures.count(match (in_use, class) {
                (true, _) => "class=\"standby\"",
                (false, Class::Operator) => "class=\"operator\"",
                (false, _) => "class=\"retry\"",
            });
            let wait = if in_use { Duration::from_secs(1) } else { backoff.next(class, fastrand::f64()) };
            self.down(&error, in_use, wait);
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = stop.wait_for(|stop| *stop) => return Ok(()),
            }
        }
    }

    /// Says why there is no stream, and when it is tried again. A standby tries every second, and warns once.
    fn down(&self, error: &PostgresError, in_use: bool, retry_in: Duration) {
        let phase = match (in_use, self.was_live) {
            (true, _) => Phase::Standby,
            (false, true) => Phase::Reconnecting,
            (false, false) => Phase::Starting,
        };
        let readiness = Readiness { phase, reason: error.to_string().into() };
        if error.class() == Class::Operator {
            tracing::error!(%error, ?retry_in, "the stream is down until this is mended");
        } else if in_use && *self.watches.readiness.borrow() == readiness {
            tracing::debug!(%error, ?retry_in, "the stream is down");
        } else {
            tracing::warn!(%error, ?retry_in, "the stream is down");
        }
        self.inlet.readiness(readiness);
    }

    /// One replication session, from connecting to its end; without an error it ends only when told to stop.
    async fn session(&mut self) -> Result<(), PostgresError> {
        // Forgotten unless they are seen again.
        let last_words = self.last_words.take();
        if let Some(pid) = self.walsender
            && self.release(pid, Dead::Ours).await?
        {
            self.walsender = None;
        }
        let prepare = setup::prepare(&self.session, &self.source, self.epoch);
        let prepared = within("preparing publication and slot", PREPARE_SECONDS, prepare).await;
        if let Err(PostgresError::SlotInUse { pid, last_words: true, .. }) = prepared {
            let (last_words, enough) = LastWords::seen(last_words, pid, Instant::now());
            self.last_words = Some(last_words);
            if enough {
                self.release(pid, Dead::LastWords).await?;
            }
        }
        let prepared = prepared?;
        let mut config = connecting::config(&self.login, &self.source, self.row_bytes, &prepared);
        if let Some(start) = self.handed.start() {
            // It is not acknowledged: the replay window may want what lies before.
            let start = pgwire_replication::Lsn::from_u64(start.0);
            config = config.with_start_lsn(start).with_ack_lsn(pgwire_replication::Lsn::ZERO);
        }
        let mut client = ReplicationClient::connect_gated(config).await.map_err(PostgresError::Stream)?;
        let result = self.served(&mut client, &prepared).await;
        if result.is_err() {
            // Nothing more is acknowledged. Asked to end in order, its task would wait for the rest of a message that may
            // never come.
            client.abort();
        }
        result
    }

    async fn release(&self, pid: i32, dead: Dead) -> Result<bool, PostgresError> {
        let release = slot::release(&self.session, &self.source.slot, pid, dead);
        within("freeing the slot", PREPARE_SECONDS, release).await
    }

    async fn served(
        &mut self,
        client: &mut ReplicationClient,
        prepared: &Prepared,
    ) -> Result<(), PostgresError> {
        let opening = "opening the replication session";
        let (epoch, walsender) = within(opening, CONNECT_SECONDS, connecting::identify(client)).await?;
        if self.handed.start().is_some() && self.epoch != Some(epoch) {
            // Where it would begin is a place in another log.
            self.handed = Handed::default();
            return Err(PostgresError::StreamEnded);
        }
        // Before it has the slot: from then on it is to be ended, whatever comes of it here.
        self.walsender = Some(walsender);
        let start = connecting::start(client, &self.source, prepared);
        let position = within(opening, CONNECT_SECONDS, start).await?;
        if self.epoch.is_some_and(|known| known != epoch) {
            tracing::warn!(%epoch, "the database is another one, or was promoted: a new epoch begins");
            self.handed = Handed::default();
        }
        self.epoch = Some(epoch);
        self.inlet.begin(epoch, Cursor::before(position));
        let reason = "reading what was written meanwhile".into();
        self.inlet.readiness(Readiness { phase: Phase::CatchingUp, reason });
        tracing::info!(%epoch, %position, slot = self.source.slot, "streaming");
        let mark = format!("{:016x}", fastrand::u64(..));
        let end = self.mark(&mark).await?;
        let way = CatchingUp::new(mark, position, end, Instant::now());
        self.stream(client, way, epoch, walsender).await?;
        self.close(client, epoch).await;
        Ok(())
    }

    /// Writes a message to the log, and returns where it is; when it comes back, everything before it has been dispatched.
    async fn mark(&self, mark: &str) -> Result<Lsn, PostgresError> {
        let emit = async {
            let client = self.session.client().await?;
            setup::mark(&client, catching_up::PREFIX, mark).await
        };
        within("marking the end of the log", PREPARE_SECONDS, emit).await
    }

    async fn stream(
        &mut self,
        client: &mut ReplicationClient,
        mut way: CatchingUp,
        epoch: Epoch,
        walsender: i32,
    ) -> Result<(), PostgresError> {
        let heard = AtomicBool::new(false);
        let (session, slot) = (self.session.clone(), self.source.slot.clone());
        let mut lost = pin!(liveness::lost(session, slot, walsender, &heard, self.patience.time()));
        let mut progress = self.watches.progress.clone();
        let mut stop = self.stop.clone();
        let mut assembler = Assembler::after(self.handed.passed);
        let mut signs = ShutdownSigns::default();
        loop {
            let event = tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => return Ok(()),
                _ = progress.changed() => {
                    let lsn = progress.borrow_and_update().acknowledged(epoch);
                    client.update_applied_lsn(pgwire_replication::Lsn::from_u64(lsn.0));
                    continue;
                }
                error = &mut lost => {
                    if matches!(error, PostgresError::Silent | PostgresError::Stuck) {
                        self.patience.double();
                    }
                    return Err(error);
                }
                event = client.recv() => event,
            };
            heard.store(true, Ordering::Relaxed);
            let event = event
                .map_err(|error| connecting::explain(error, &self.source, self.row_bytes))?
                .ok_or(PostgresError::StreamEnded)?;
            match event {
                ReplicationEvent::KeepAlive { wal_end, reply_requested, .. } => {
                    if assembler.in_transaction() {
                        continue;
                    }
                    if signs.keepalive(reply_requested, Instant::now()) {
                        return Err(PostgresError::ShuttingDown);
                    }
                    COUNTED.received.set(wal_end.as_u64());
                    self.inlet.idle(Lsn(wal_end.as_u64()));
                }
                ReplicationEvent::Begin { final_lsn, xid, commit_time_micros } => {
                    let begin = Message::Begin {
                        final_lsn: Lsn(final_lsn.as_u64()),
                        commit_time: commit_time_micros,
                        xid,
                    };
                    assembler.apply(Lsn(0), &Bytes::new(), &begin)?;
                }
                ReplicationEvent::Commit { lsn, end_lsn, commit_time_micros } => {
                    let (lsn, end_lsn) = (Lsn(lsn.as_u64()), Lsn(end_lsn.as_u64()));
                    let commit = Message::Commit { lsn, end_lsn, commit_time: commit_time_micros };
                    let piece = assembler.apply(Lsn(0), &Bytes::new(), &commit)?;
                    self.hand_over(piece).await;
                    self.patience.advanced();
                    if let Some(readiness) = way.commit(end_lsn, Instant::now()) {
                        tracing::info!(position = %end_lsn, "{}", readiness.describe());
                        self.inlet.readiness(readiness);
                    }
                }
                ReplicationEvent::Message { transactional, lsn, prefix, content } => {
                    if transactional {
                        way.message(&prefix, &content);
                    }
                    let Some(read) = readable(&prefix, lsn, &content) else { continue };
                    let lsn = Lsn(lsn.as_u64());
                    let piece = assembler.message(transactional, lsn, read, content.len())?;
                    self.hand_over(piece).await;
                }
                ReplicationEvent::XLogData { wal_start, data, .. } => {
                    let message = pgoutput::decode(&data)?;
                    let unexplained = match &message {
                        Message::Relation(relation) => Assembler::catalog_types(relation),
                        row => assembler.outdated_types(row),
                    };
                    self.explain_types(&mut assembler, &unexplained).await?;
                    let piece = assembler.apply(Lsn(wal_start.as_u64()), &data, &message)?;
                    self.hand_over(piece).await;
                }
                // Only a session with a stop position sends this.
                ReplicationEvent::StoppedAt { .. } => return Err(PostgresError::StreamEnded),
            }
        }
    }

    /// Waits for room in front of the dispatcher. Acknowledgements go on meanwhile: the crate repeats the
    /// last one on its own time.
    async fn hand_over(&mut self, piece: Option<crate::change::Transaction>) {
        let Some(piece) = piece else { return };
        self.handed.pass(&piece);
        if let Some(end) = piece.end {
            COUNTED.received.set(end.0);
        }
        self.inlet.transaction(piece).await;
    }

    /// Looks up types, whether or not they are known: they may have been altered. Where there is no answer, and
    /// for types dropped since, what is known serves.
    async fn explain_types(
        &self,
        assembler: &mut Assembler,
        oids: &[pgoutput::Oid],
    ) -> Result<(), PostgresError> {
        if oids.is_empty() {
            return Ok(());
        }
        let known = oids.iter().all(|oid| assembler.knows_type(*oid));
        let xid = assembler.xid();
        let look_up = async {
            let client = self.session.client().await?;
            if let Some(xid) = xid {
                types::wait_for(&client, xid).await?;
            }
            types::look_up(&client, oids).await
        };
        match within("asking for types", PREPARE_SECONDS, look_up).await {
            Ok(explained) => assembler.learn_types(explained.types, explained.at),
            Err(error) if known => tracing::debug!(%error, "types could not be asked again"),
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// What a logical message says to us. What it does not say is logged without its content.
fn readable(prefix: &str, lsn: pgwire_replication::Lsn, content: &Bytes) -> Option<Content> {
    match Content::read(prefix.as_bytes(), content) {
        Some(Ok(read)) => return Some(read),
        Some(Err(error)) => tracing::warn!(prefix, %lsn, %error, "a logical message is ignored"),
        None => tracing::debug!(%lsn, bytes = content.len(), "a logical message of somebody else is ignored"),
    }
    None
}

/// Ends when a stop comes while no session streams.
async fn stopped_before_session(stop: &mut watch::Receiver<bool>, watches: &Watches) {
    let _ = stop.wait_for(|stop| *stop).await;
    let phase = watches.readiness.borrow().phase;
    if matches!(phase, Phase::Live | Phase::CatchingUp) {
        // The session sees the stop itself.
        std::future::pending::<()>().await;
    }
}

async fn within<T>(
    what: &'static str,
    seconds: u64,
    step: impl Future<Output = Result<T, PostgresError>>,
) -> Result<T, PostgresError> {
    tokio::time::timeout(Duration::from_secs(seconds), step)
        .await
        .unwrap_or(Err(PostgresError::Timeout { what, seconds }))
}
