//! One thread's sockets and members.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use slab::Slab;
use smallvec::SmallVec;
use tokio::net::TcpStream;
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};
use tokio::task::LocalSet;
use tokio::time::MissedTickBehavior;
use tokio_tungstenite::tungstenite::protocol::WebSocketContext;

use super::arrival::Arrival;
use super::closing::{CLOSE_WITHIN, Closing};
use super::coalesce::{Batch, Waiting};
use super::connection::Connection;
use super::retold::Retold;
use super::rounds::{Key, Rounds};
use super::{Coming, Newcomer, Rules, Surroundings, Work, inbound};
use crate::channel::deflate::Inflater;
use crate::channel::lane::Lane;
use crate::lsn::{Cursor, Epoch};
use crate::metrics::COUNTED;
use crate::topic::index::TopicId;

/// Bytes read from a socket at a time; one buffer for all sockets of the shard.
const SCRATCH_BYTES: usize = 64 * 1024;

/// How often sockets are looked at that say or take nothing.
const SWEEP: Duration = Duration::from_secs(1);

pub(super) struct Shard {
    pub(super) id: usize,
    pub(super) rules: Rules,
    pub(super) scratch: RefCell<Box<[u8]>>,
    /// Reads messages that are whole, of every socket.
    pub(super) context: RefCell<WebSocketContext>,
    /// Reads compressed messages that are whole, of every socket.
    pub(super) inflater: RefCell<Inflater>,
    pub(super) surroundings: Surroundings,
    /// Up to where everything is in the outboxes of the members.
    pub(super) reached: Cell<Option<(Cursor, Epoch)>>,
    pub(super) connections: RefCell<Slab<Rc<Connection>>>,
    pub(super) members: RefCell<HashMap<TopicId, Slab<Member>>>,
    /// Of all members that ever were, the latest `after`.
    pub(super) last_join: Cell<u64>,
    /// Whose turn it is to be told what it missed.
    pub(super) turn: Semaphore,
    /// What those who come back were told a moment ago.
    pub(super) retold: RefCell<Retold>,
    /// When each socket is looked at next.
    rounds: RefCell<Rounds>,
    /// Those that are looked at once a second.
    watched: RefCell<Vec<Key>>,
    /// Bytes that waited in outboxes at the last sweep.
    pending: Cell<usize>,
    /// Whether everybody is on the way out, and so is who comes.
    draining: Cell<bool>,
    /// Wakes the drain when the last socket is gone.
    emptied: Notify,
}

pub(super) struct Member {
    pub(super) connection: Rc<Connection>,
    pub(super) lane: Lane,
    pub(super) after: u64,
}

/// Starts the shard's thread. It ends when the hub is dropped.
pub(super) fn start(
    id: usize,
    rules: Rules,
    surroundings: Surroundings,
    coming: mpsc::UnboundedReceiver<Coming>,
    work: mpsc::UnboundedReceiver<Work>,
) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name(format!("shard-{id}")).spawn(move || {
        let shard = Rc::new(Shard {
            id,
            rules,
            scratch: RefCell::new(vec![0; SCRATCH_BYTES].into()),
            context: RefCell::new(inbound::context(&rules)),
            inflater: RefCell::default(),
            surroundings,
            reached: Cell::new(None),
            connections: RefCell::default(),
            members: RefCell::default(),
            last_join: Cell::default(),
            turn: Semaphore::new(1),
            retold: RefCell::default(),
            rounds: RefCell::new(Rounds::new(Instant::now())),
            watched: RefCell::default(),
            pending: Cell::default(),
            draining: Cell::default(),
            emptied: Notify::new(),
        });
        LocalSet::new().block_on(&runtime, shard.run(coming, work));
    })?;
    Ok(())
}

impl Shard {
    async fn run(
        self: Rc<Self>,
        mut coming: mpsc::UnboundedReceiver<Coming>,
        mut work: mpsc::UnboundedReceiver<Work>,
    ) {
        let sockets = Rc::clone(&self);
        tokio::task::spawn_local(async move {
            let mut tick = tokio::time::interval(SWEEP);
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut swept = Instant::now();
            loop {
                tokio::select! {
                    coming = coming.recv() => match coming {
                        Some(Coming::Arrival(arrival)) => {
                            if let Some(arrival) = arrival.registered() {
                                sockets.receive(arrival);
                            }
                        }
                        Some(Coming::Newcomer(newcomer)) => {
                            if let Some(newcomer) = newcomer.registered() {
                                sockets.attach(newcomer);
                            }
                        }
                        None => return,
                    },
                    _ = tick.tick() => {
                        // When this thread did not run for a while, sockets were not heard either. They come first.
                        if std::mem::replace(&mut swept, Instant::now()).elapsed() < SWEEP * 2 {
                            sockets.sweep();
                        }
                    }
                }
            }
        });
        let mut next = None;
        let mut waiting = Waiting::default();
        loop {
            let order = match next.take() {
                Some(order) => order,
                None => match waiting.before_due(work.recv()).await {
                    Some(Some(order)) => order,
                    Some(None) => return,
                    None => {
                        self.release(&mut waiting).await;
                        continue;
                    }
                },
            };
            match order {
                Work::Deliver { mut deliveries, committed, mut budget } => {
                    let mut commits = SmallVec::from_buf([committed]);
                    // What has queued up meanwhile goes with it: a shard that is behind needs fewer writes, not more.
                    while let Ok(order) = work.try_recv() {
                        match order {
                            Work::Deliver { deliveries: more, committed, budget: further } => {
                                deliveries.extend(more);
                                commits.push(committed);
                                budget.merge(further);
                            }
                            other => {
                                next = Some(other);
                                break;
                            }
                        }
                    }
                    self.tell_or_hold(&mut waiting, Batch { deliveries, commits, budget: Some(budget) })
                        .await;
                    // Sockets are heard between two batches, however many there are.
                    tokio::task::yield_now().await;
                }
                Work::Accept(accepting) => {
                    tokio::task::spawn_local(accepting.run(Rc::clone(&self)));
                }
                Work::Hurry => self.release(&mut waiting).await,
                Work::Reached(position, epoch) => self.reach(&mut waiting, position, epoch),
                Work::Interrupt => {
                    self.release(&mut waiting).await;
                    self.interrupt();
                }
                Work::Drain { within, done } => {
                    self.release(&mut waiting).await;
                    self.drain(within, done).await;
                }
                // Who asked may have gone.
                Work::Look { look, answer } => drop(answer.send(self.look(&look))),
                Work::Disconnect { ids, answer } => drop(answer.send(self.disconnect(&ids))),
            }
        }
    }

    /// In a task of its own, which takes more memory than that of a socket and ends before it.
    pub(super) fn receive(self: &Rc<Self>, arrival: Arrival<TcpStream>) {
        let shard = Rc::clone(self);
        tokio::task::spawn_local(async move {
            if let Some(newcomer) = arrival.receive(&shard).await {
                shard.attach(newcomer);
            }
        });
    }

    fn attach(self: &Rc<Self>, newcomer: Newcomer<TcpStream>) {
        let Newcomer { stream, answer, early, agreed, seat, place } = newcomer;
        let key = self.connections.borrow().vacant_key();
        let connection = Rc::new(Connection::new(key, stream, agreed, &self.rules, seat, place));
        self.connections.borrow_mut().insert(Rc::clone(&connection));
        connection.round.set(self.rounds.borrow_mut().enter(key, connection.due(&self.rules)));
        connection.begin(self, answer, &early);
        if self.draining.get() {
            connection.close(Closing::RESTART, false, CLOSE_WITHIN);
        }
        let shard = Rc::clone(self);
        tokio::task::spawn_local(async move {
            connection.run(&shard).await;
            shard.forget(key, &connection);
        });
    }

    fn forget(&self, key: usize, connection: &Connection) {
        let memberships = std::mem::take(&mut connection.state.borrow_mut().memberships);
        for membership in &memberships {
            self.resign(membership);
        }
        self.connections.borrow_mut().remove(key);
        if self.connections.borrow().is_empty() {
            self.emptied.notify_one();
        }
    }

    /// Has a socket looked at once a second, for as long as that is of use.
    pub(super) fn watch(&self, key: Key) {
        self.watched.borrow_mut().push(key);
    }

    /// Looks at those whose time has come, and at those for whom something waits.
    fn sweep(self: &Rc<Self>) {
        let now = Instant::now();
        let connections = self.connections.borrow();
        let mut rounds = self.rounds.borrow_mut();
        while let Some((round, keys)) = rounds.next(now) {
            for key in keys {
                if let Some(connection) = connections.get(key).filter(|known| known.round.get() == round) {
                    connection.sweep(self, now);
                    connection.round.set(rounds.enter(key, connection.due(&self.rules)));
                }
            }
        }
        let mut pending = 0;
        let mut watched = self.watched.take();
        watched.retain(|key| {
            // A key that went to another socket may be here twice.
            let Some(connection) = connections.get(*key).filter(|known| known.watched.replace(false)) else {
                return false;
            };
            connection.sweep(self, now);
            pending += connection.state.borrow().outbox.bytes();
            connection.is_watched()
        });
        for connection in watched.iter().filter_map(|key| connections.get(*key)) {
            connection.watched.set(true);
        }
        self.watched.replace(watched);
        COUNTED.pending.replace(self.pending.replace(pending), pending);
        self.retold.borrow_mut().sweep();
    }

    fn interrupt(self: &Rc<Self>) {
        for connection in self.everyone() {
            connection.interrupt(self);
        }
    }

    fn everyone(&self) -> Vec<Rc<Connection>> {
        self.connections.borrow().iter().map(|(_, connection)| Rc::clone(connection)).collect()
    }

    async fn drain(&self, within: Duration, done: oneshot::Sender<()>) {
        self.draining.set(true);
        let everyone = self.everyone();
        for connection in &everyone {
            connection.close(Closing::RESTART, false, within);
        }
        drop(everyone);
        let emptied = async {
            while !self.connections.borrow().is_empty() {
                self.emptied.notified().await;
            }
        };
        let _ = tokio::time::timeout(within, emptied).await;
        let _ = done.send(());
    }
}

/// What transactions took from their commit, where the clocks of the two servers agree; one that lies ahead took nothing.
pub(super) fn count_latency(commits: SmallVec<[Option<Timestamp>; 1]>) {
    let now = Timestamp::now();
    for committed in commits.into_iter().flatten() {
        COUNTED.latency.observe(now.duration_since(committed).try_into().unwrap_or_default());
    }
}
