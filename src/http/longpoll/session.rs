//! One client's session: a task that owns its conversation, and reads the window for it when it polls.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, select_all};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use super::super::gathered::{Gathered, Large};
use super::super::reading::{PIECE, Reading, Wanted, ask, stopped};
use super::super::refused::Refused;
use crate::change::value::write_string;
use crate::channel::serializer::{Reference, Version, envelope};
use crate::channel::{ChannelId, Conversation, Effect, JoinOptions, Refusal};
use crate::hub::{Approval, Hub, Reader};
use crate::lsn::Cursor;
use crate::metrics::COUNTED;
use crate::replay::Told;

/// How long a poll is held. Clients give up after 20 s by themselves.
const HOLD: Duration = Duration::from_secs(10);

/// A session that is not polled for so long ends.
const PATIENCE: Duration = Duration::from_secs(30);

/// The same for one that never was: clients that lost a session are given one that they may not want.
const FIRST_PATIENCE: Duration = Duration::from_secs(10);

/// Frames that a client has sent.
pub(super) struct Post {
    frames: String,
    /// What was taken, in bytes.
    taken: usize,
    /// Whether each line is a frame.
    lines: bool,
    done: oneshot::Sender<()>,
}

impl Post {
    /// Frames, one in each line or one in all; `done` is told when all are taken.
    pub(super) const fn new(frames: String, lines: bool, done: oneshot::Sender<()>) -> Self {
        Self { frames, taken: 0, lines, done }
    }

    /// The next frame.
    fn next(&mut self) -> Option<&str> {
        let rest = self.frames.get(self.taken..).filter(|rest| !rest.is_empty())?;
        let frame = if self.lines { rest.split('\n').next().unwrap_or(rest) } else { rest };
        self.taken += frame.len() + 1;
        Some(frame)
    }
}

/// A join that was let in, or may be.
struct Channel {
    id: ChannelId,
    spelled: Arc<str>,
    options: JoinOptions,
    /// Where the channel is, once it was let in.
    reading: Option<Reading>,
}

/// Messages as JSON strings, with commas between them.
pub(super) type Messages = Gathered;

/// What a look at the window found.
enum Found {
    Some(Messages),
    /// Nothing yet, but not all was looked at.
    More,
    Nothing,
}

pub(super) struct Session {
    hub: Hub,
    large: Large,
    version: Version,
    reader: Reader,
    conversation: Conversation,
    channels: Vec<Channel>,
    asking: FuturesUnordered<BoxFuture<'static, (ChannelId, Result<Approval, Refused>)>>,
    /// Replies that wait for a poll.
    said: VecDeque<Vec<u8>>,
    /// Their bytes.
    waiting: usize,
    polls: mpsc::Receiver<oneshot::Sender<Messages>>,
    posts: mpsc::Receiver<Post>,
    post: Option<Post>,
    held: Option<oneshot::Sender<Messages>>,
    /// What a poll did not take whose client went away.
    untaken: Option<Messages>,
    /// When a poll that is held is answered, or the session ends.
    due: Instant,
    stop: watch::Receiver<bool>,
}

impl Session {
    pub(super) fn new(
        hub: Hub,
        large: Large,
        version: Version,
        reader: Reader,
        polls: mpsc::Receiver<oneshot::Sender<Messages>>,
        posts: mpsc::Receiver<Post>,
        stop: watch::Receiver<bool>,
    ) -> Self {
        let (rules, now) = (*hub.rules(), Instant::now());
        Self {
            hub,
            large,
            version,
            reader,
            conversation: Conversation::new(version, rules.profile, rules.limits, now.into_std()),
            channels: Vec::new(),
            asking: FuturesUnordered::new(),
            said: VecDeque::new(),
            waiting: 0,
            polls,
            posts,
            post: None,
            held: None,
            untaken: None,
            due: now + FIRST_PATIENCE,
            stop,
        }
    }

    /// Runs until the server stops, an operator ends it, or nobody polls.
    pub(super) async fn run(mut self) {
        while self.step().await.is_continue() {}
        self.answer(Messages::default());
    }

    async fn step(&mut self) -> ControlFlow<()> {
        self.hear();
        if self.held.is_some() {
            match self.found() {
                Found::Some(messages) => self.answer(messages),
                Found::More => tokio::task::yield_now().await,
                Found::Nothing => return self.wait().await,
            }
            return ControlFlow::Continue(());
        }
        self.wait().await
    }

    async fn wait(&mut self) -> ControlFlow<()> {
        let holding = self.held.is_some();
        tokio::select! {
            biased;
            () = stopped(&mut self.stop) => return ControlFlow::Break(()),
            () = self.reader.ended() => return ControlFlow::Break(()),
            poll = self.polls.recv() => match poll {
                Some(poll) => {
                    // A client that polls a second time has given up the first.
                    self.answer(Messages::default());
                    self.held = Some(poll);
                    self.due = Instant::now() + HOLD;
                }
                None => return ControlFlow::Break(()),
            },
            Some(post) = self.posts.recv(), if self.post.is_none() => self.post = Some(post),
            Some((channel, verdict)) = self.asking.next() => self.decide(channel, verdict),
            () = given_up(&mut self.held) => {
                self.held = None;
                self.due = Instant::now() + PATIENCE;
            }
            () = changed(&mut self.channels), if holding => {}
            () = tokio::time::sleep_until(self.due) => {
                if !holding {
                    return ControlFlow::Break(());
                }
                self.answer(Messages::default());
            }
        }
        ControlFlow::Continue(())
    }

    /// Answers the poll that is held, if there is one.
    fn answer(&mut self, messages: Messages) {
        let Some(held) = self.held.take() else { return };
        self.due = Instant::now() + PATIENCE;
        if let Err(messages) = held.send(messages) {
            self.untaken = Some(messages).filter(|messages| !messages.is_empty());
        }
    }

    /// Takes frames while what they were answered is not too much: a client that does not poll is not heard.
    fn hear(&mut self) {
        while self.waiting < PIECE
            && let Some(post) = &mut self.post
        {
            let Some(frame) = post.next() else {
                if let Some(post) = self.post.take() {
                    let _ = post.done.send(());
                }
                return;
            };
            let effects = match frame.trim() {
                "" => Vec::new(),
                frame => self.conversation.text(frame, Instant::now().into_std()),
            };
            for effect in effects {
                self.act(effect);
            }
        }
    }

    fn act(&mut self, effect: Effect) {
        match effect {
            Effect::Send(message) => {
                self.waiting += message.len();
                self.said.push_back(message);
            }
            Effect::Leave { channel } => self.channels.retain(|known| known.id != channel),
            Effect::Join { channel, spelled, topic, options } => {
                self.channels.push(Channel { id: channel, spelled, options, reading: None });
                let (hub, mut stop) = (self.hub.clone(), self.stop.clone());
                let asking = async move { (channel, ask(&hub, topic, &mut stop).await) };
                self.asking.push(asking.boxed());
            }
        }
    }

    /// Answers a join. Its changes are read behind that, so they cannot come before the reply.
    fn decide(&mut self, channel: ChannelId, verdict: Result<Approval, Refused>) {
        let Some(joining) = self.channels.iter_mut().find(|known| known.id == channel) else { return };
        let begun = verdict.and_then(|approval| {
            // Pages of rows are for who can be told them at the pace of its socket.
            if joining.options.snapshot.is_some() {
                return Err(Refused::Channel(Refusal::OptionUnsupported("snapshot")));
            }
            let JoinOptions { profile, star, since, .. } = joining.options;
            let wanted = Wanted { spelled: &joining.spelled, since, profile, star };
            Ok(Reading::begin(&self.hub, &self.reader, approval, &wanted)?)
        });
        let effect = match begun {
            Ok((reading, admission)) => {
                joining.reading = Some(reading);
                self.conversation.admitted(channel, &admission)
            }
            Err(refused) => {
                self.channels.retain(|known| known.id != channel);
                let refusal = match refused {
                    Refused::Channel(refusal) => refusal,
                    // A session is opened only where there is a window, and that has a seat of its own.
                    _ => Refusal::Unavailable("there is no replay window"),
                };
                self.conversation.refused(channel, &refusal)
            }
        };
        if let Some(effect) = effect {
            self.act(effect);
        }
    }

    /// What there is to tell: replies first, then what the channels missed.
    fn found(&mut self) -> Found {
        if let Some(untaken) = self.untaken.take() {
            return Found::Some(untaken);
        }
        let mut out = Messages::default();
        while out.len() < PIECE
            && let Some(message) = self.said.pop_front()
        {
            self.waiting -= message.len();
            separate(&mut out);
            out.write(|out| write_string(out, &message));
        }
        let complete = out.len() >= PIECE || self.read(&mut out);
        match (out.is_empty(), complete) {
            (false, _) => Found::Some(out),
            (true, true) if self.said.is_empty() => Found::Nothing,
            (true, _) => Found::More,
        }
    }

    /// Reads what comes next on all channels, in the order of commits over all of them; `true` when nothing is left.
    fn read(&mut self, out: &mut Messages) -> bool {
        let (mut found, mut crashed): (Vec<(Cursor, usize, Told)>, Vec<ChannelId>) = Default::default();
        let mut frontier: Option<Cursor> = None;
        let mut complete = true;
        for (place, channel) in self.channels.iter().enumerate() {
            let Some(reading) = &channel.reading else { continue };
            let Ok(part) = reading.read() else {
                crashed.push(channel.id);
                continue;
            };
            complete &= part.complete;
            frontier = Some(frontier.map_or(part.reached, |least| least.min(part.reached)));
            found.extend(
                part.told.into_iter().filter_map(|told| Some((told.change()?.0.cursor, place, told))),
            );
        }
        found.sort_by_key(|(cursor, place, _)| (*cursor, *place));
        // Up to where every channel was looked at.
        let mut frontier = frontier.unwrap_or_default();
        let mut last = None;
        for (cursor, place, told) in &found {
            if *cursor > frontier {
                complete = false;
                break;
            }
            // Between two channels of one change there is no cursor to stop at.
            if out.len() >= PIECE
                && let Some(last) = last.filter(|last| last < cursor)
            {
                (frontier, complete) = (last, false);
                break;
            }
            if let Some(channel) = self.channels.get(*place) {
                tell(out, &self.large, self.version, channel, told);
            }
            last = Some(*cursor);
        }
        for reading in self.channels.iter_mut().filter_map(|channel| channel.reading.as_mut()) {
            reading.advance(frontier);
        }
        for id in crashed {
            self.channels.retain(|channel| channel.id != id);
            if let Some(effect) = self.conversation.crash(id) {
                self.act(effect);
            }
        }
        complete
    }
}

/// Waits until there may be something to tell on one of these channels.
async fn changed(channels: &mut [Channel]) {
    let readings = channels.iter_mut().filter_map(|channel| channel.reading.as_mut());
    let changes: Vec<_> = readings.map(|reading| Box::pin(reading.changed())).collect();
    if changes.is_empty() {
        std::future::pending::<()>().await;
    } else {
        select_all(changes).await;
    }
}

/// Waits until the client of a poll that is held has gone away.
async fn given_up(held: &mut Option<oneshot::Sender<Messages>>) {
    match held {
        Some(held) => held.closed().await,
        None => std::future::pending().await,
    }
}

/// Appends the messages of one change, in the form in which the channel is told.
fn tell(out: &mut Messages, large: &Large, version: Version, channel: &Channel, told: &Told) {
    let Some((change, ..)) = told.change() else { return };
    COUNTED.read.longpoll.add(1);
    let JoinOptions { profile, star, .. } = channel.options;
    let null = Reference::null();
    for event in star.then_some("*").into_iter().chain([change.event(told.telling)]) {
        separate(out);
        out.tell_message(large, told, profile, &envelope(version, &null, &null, &channel.spelled, event));
    }
}

fn separate(out: &mut Messages) {
    if !out.is_empty() {
        out.put(b",");
    }
}
