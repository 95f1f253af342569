//! Live queries as they run: who subscribes to which, the newest result of each, and the tasks that make it.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use serde_json::json;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::change::Transaction;
use crate::graphql::code;
use crate::graphql::model::Model;
use crate::live::identifier::{self, Identifier};
use crate::live::machine::{Ended, Outcome};
use crate::live::{Live, QueryId};
use crate::metrics::COUNTED;
use crate::operations::{Answer, Fault, Operations, Prepared, Refreshed, Refused, Shared, SharedResult};
use crate::traces::{self, KeyValue};

/// How live queries are run.
#[derive(Clone, Copy, Debug)]
pub struct LiveOptions {
    /// Runs at a time.
    pub runs: usize,
    /// Streams at a time.
    pub streams: usize,
    /// Results tell what they depend on and what made them.
    pub explains: bool,
}

/// A handle; clones share it.
#[derive(Clone)]
pub(super) struct LiveQueries {
    inner: Arc<Inner>,
}

struct Inner {
    operations: Operations,
    options: LiveOptions,
    runtime: Handle,
    state: Mutex<State>,
}

struct State {
    live: Live,
    shared: HashMap<Shared, QueryId>,
    queries: HashMap<QueryId, Query>,
    streams: usize,
    /// The earliest time for which a task sleeps.
    armed: Option<Instant>,
}

/// A live query that somebody subscribes to.
struct Query {
    shared: Shared,
    prepared: Arc<Prepared>,
    results: watch::Sender<Option<Answer>>,
    /// Of the newest result, without what changes from run to run.
    hash: Option<u64>,
    runs: u64,
    task: Option<AbortHandle>,
}

impl LiveQueries {
    /// Must be called in a runtime, which then runs the queries.
    pub(super) fn new(operations: Operations, options: LiveOptions) -> Self {
        let state = State {
            live: Live::new(options.runs, options.explains),
            shared: HashMap::new(),
            queries: HashMap::new(),
            streams: 0,
            armed: None,
        };
        let runtime = Handle::current();
        Self { inner: Arc::new(Inner { operations, options, runtime, state: Mutex::new(state) }) }
    }

    /// The results of a live query: the newest one now, and another whenever it is another one. A client that has
    /// `last`, which was the id of a result, is not told the same again.
    pub(super) fn subscribe(
        &self,
        prepared: Prepared,
        last: Option<&str>,
    ) -> Result<BoxStream<'static, Answer>, Refused> {
        let inner = &self.inner;
        let throttle = prepared.live().map(|live| live.throttle).unwrap_or_default();
        let Some(shared) = inner.operations.shared(&prepared) else {
            let words = "the variables do not fit";
            return Err(Refused::new(Fault::Variables, code::ARGUMENT_INVALID, words));
        };
        let mut state = inner.lock();
        if state.streams >= inner.options.streams {
            COUNTED.live_refusals.count(&format!("code=\"{}\"", code::TOO_MANY_LIVE));
            let words = "the server has as many live queries as it may";
            return Err(Refused::new(Fault::Validation, code::TOO_MANY_LIVE, words));
        }
        state.streams += 1;
        let mut run = Vec::new();
        let id = if let Some(id) = state.shared.get(&shared) {
            *id
        } else {
            let id = state.live.add(prepared.roots(), Instant::now(), &mut run);
            let query = Query {
                shared: shared.clone(),
                prepared: Arc::new(prepared),
                results: watch::Sender::new(None),
                hash: None,
                runs: 0,
                task: None,
            };
            state.queries.insert(id, query);
            state.shared.insert(shared, id);
            id
        };
        state.live.subscribe(id, throttle);
        let results = state.queries.get(&id).map(|query| query.results.subscribe());
        inner.act(&mut state, run);
        drop(state);
        let subscriber = Subscriber { inner: Arc::clone(inner), id, throttle };
        let had = last.and_then(|last| last.rsplit_once('.')).map(|(_, hash)| hash.to_owned());
        let told = Told { results, subscriber, had, last: None };
        Ok(stream::unfold(told, |mut told| async move { Some((told.next().await?, told)) }).boxed())
    }

    /// How many there are, and how many subscribe to them.
    pub(super) fn count(&self) -> (usize, usize) {
        let state = self.inner.lock();
        (state.queries.len(), state.streams)
    }

    pub(super) fn transaction(&self, transaction: &Arc<Transaction>) {
        let mut state = self.inner.lock();
        let mut run = Vec::new();
        state.live.transaction(transaction, Instant::now(), &mut run);
        self.inner.act(&mut state, run);
    }

    /// A session of the slot begins.
    pub(super) fn begin(&self) {
        // The publication may be new.
        self.inner.operations.suspect();
        self.interrupt();
    }

    /// Every live query runs once more: changes may have been missed.
    fn interrupt(&self) {
        let mut state = self.inner.lock();
        let mut run = Vec::new();
        state.live.interrupt(Instant::now(), &mut run);
        self.inner.act(&mut state, run);
    }

    pub(super) fn invalidate(&self, identifiers: &[Identifier], written: Option<u32>) {
        let mut state = self.inner.lock();
        let mut run = Vec::new();
        for identifier in identifiers {
            state.live.invalidate(identifier, written, Instant::now(), &mut run);
        }
        self.inner.act(&mut state, run);
    }

    /// Another schema is served: every live query is prepared for it and runs once more. One that it has no place for ends
    /// with the reason.
    pub(super) fn schema(&self) {
        let inner = &self.inner;
        if let Ok(schema) = inner.operations.served() {
            let coverage = &schema.model.coverage;
            let relations = coverage.iter().flat_map(|(table, coverage)| {
                coverage.followed.iter().flatten().map(|relation| (*table, *relation))
            });
            inner.lock().live.schema(Arc::clone(&schema.model), relations);
        }
        let before: Vec<_> = {
            let state = inner.lock();
            state.queries.iter().map(|(id, query)| (*id, Arc::clone(&query.prepared))).collect()
        };
        for (id, prepared) in before {
            let Some(live) = prepared.live() else { continue };
            match inner.operations.prepare(live.request.clone()) {
                Ok(prepared) => inner.replace(id, prepared),
                // The last schema may hold still.
                Err(Refused { fault: Fault::Unavailable, .. }) => {}
                Err(refused) => inner.end(id, refused.body),
            }
        }
        self.interrupt();
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Carries out what was decided: nothing here waits.
    fn act(self: &Arc<Self>, state: &mut State, run: Vec<QueryId>) {
        for id in run {
            let Some(query) = state.queries.get_mut(&id) else { continue };
            let (inner, prepared) = (Arc::clone(self), Arc::clone(&query.prepared));
            let task = self.runtime.spawn(async move { inner.run(id, &prepared).await });
            query.task = Some(task.abort_handle());
        }
        if let Some(due) = state.live.next_due()
            && state.armed.is_none_or(|armed| due < armed)
        {
            state.armed = Some(due);
            let inner = Arc::clone(self);
            self.runtime.spawn(async move {
                tokio::time::sleep_until(due.into()).await;
                inner.due();
            });
        }
    }

    fn due(self: &Arc<Self>) {
        let mut state = self.lock();
        state.armed = None;
        let mut run = Vec::new();
        state.live.due(Instant::now(), &mut run);
        self.act(&mut state, run);
    }

    async fn run(self: Arc<Self>, id: QueryId, prepared: &Prepared) {
        let (began, begun) = (Instant::now(), traces::begin());
        let Refreshed { data, errors, read, snapshot, passing } = self.operations.refresh(prepared).await;
        let errors = if errors.is_empty() { None } else { serde_json::to_string(&errors).ok() };
        let mut hasher = DefaultHasher::new();
        (&data, &errors).hash(&mut hasher);
        let hash = hasher.finish();
        let identifiers = self.options.explains.then(|| {
            let model: &Model = prepared.model();
            identifier::of_result(model, &prepared.roots(), &read)
        });
        let outcome = match snapshot {
            Some(snapshot) => Outcome::of(read, snapshot),
            None => Outcome::failed(read, passing),
        };
        let took = began.elapsed();

        let mut state = self.lock();
        let (mut run, mut changed) = (Vec::new(), false);
        if let Some(ended) = state.live.ended(id, outcome, Instant::now(), &mut run)
            && let Some(query) = state.queries.get_mut(&id)
        {
            query.runs += 1;
            COUNTED.runs.add(1);
            COUNTED.needless.add(u64::from(query.hash == Some(hash)));
            tracing::debug!(query = id, why = ?ended.why, changed = query.hash != Some(hash), "a live query ran");
            changed = query.hash != Some(hash);
            if changed {
                query.hash = Some(hash);
                let extensions =
                    identifiers.map(|identifiers| explained(&identifiers, &ended, query.runs, took));
                let body = body(&data, errors.as_deref(), extensions.as_deref());
                let id = format!("{}.{hash:016x}", ended.cursor);
                let shared = Some(Arc::new(SharedResult { id, ..SharedResult::default() }));
                query.results.send_replace(Some(Answer { shared, ..Answer::of(body) }));
            }
        }
        self.act(&mut state, run);
        drop(state);
        begun.end("live run", || {
            [
                KeyValue::new("graphql.operation.name", prepared.name().unwrap_or_default().to_owned()),
                KeyValue::new("walcast.changed", changed),
            ]
        });
    }

    fn replace(&self, id: QueryId, prepared: Prepared) {
        let Some(shared) = self.operations.shared(&prepared) else { return };
        let mut state = self.lock();
        let State { queries, shared: by_shared, live, .. } = &mut *state;
        live.rename(id, prepared.roots());
        let Some(query) = queries.get_mut(&id) else { return };
        if by_shared.get(&query.shared) == Some(&id) {
            by_shared.remove(&query.shared);
        }
        // Two that have become one go on apart; who comes now joins the later.
        by_shared.insert(shared.clone(), id);
        query.shared = shared;
        query.prepared = Arc::new(prepared);
    }

    /// A last result for all subscribers.
    fn end(&self, id: QueryId, body: Bytes) {
        let mut state = self.lock();
        if let Some(query) = state.forget(id) {
            query.results.send_replace(Some(Answer::of(body)));
        }
    }

    fn leave(self: &Arc<Self>, id: QueryId, throttle: Duration) {
        let mut state = self.lock();
        state.streams -= 1;
        let mut run = Vec::new();
        let gone = if state.live.unsubscribe(id, throttle, Instant::now(), &mut run) {
            state.forget(id)
        } else {
            None
        };
        self.act(&mut state, run);
        drop(state);
        if let Some(task) = gone.and_then(|query| query.task) {
            task.abort();
        }
    }
}

impl State {
    fn forget(&mut self, id: QueryId) -> Option<Query> {
        let query = self.queries.remove(&id)?;
        if self.shared.get(&query.shared) == Some(&id) {
            self.shared.remove(&query.shared);
        }
        Some(query)
    }
}

fn body(data: &str, errors: Option<&str>, extensions: Option<&str>) -> Bytes {
    let mut body = format!("{{\"data\":{data}");
    for (name, value) in [("errors", errors), ("extensions", extensions)] {
        if let Some(value) = value {
            body.extend([",\"", name, "\":", value]);
        }
    }
    body.push_str(",\"isLive\":true}");
    body.into()
}

fn explained(identifiers: &[String], ended: &Ended, runs: u64, took: Duration) -> String {
    let milliseconds = (took.as_secs_f64() * 100_000.0).round() / 100.0;
    let live = json!({ "causes": ended.causes, "runs": runs, "milliseconds": milliseconds });
    json!({ "liveResourceIdentifier": identifiers, "live": live }).to_string()
}

/// One stream on a live query. Dropping it gives back all that it held.
struct Subscriber {
    inner: Arc<Inner>,
    id: QueryId,
    throttle: Duration,
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.inner.leave(self.id, self.throttle);
    }
}

/// What one subscriber is told: of the results that come while it does not ask, the newest.
struct Told {
    results: Option<watch::Receiver<Option<Answer>>>,
    subscriber: Subscriber,
    /// The hash of the result that the client has already.
    had: Option<String>,
    /// When it was told the last one.
    last: Option<Instant>,
}

impl Told {
    async fn next(&mut self) -> Option<Answer> {
        let results = self.results.as_mut()?;
        loop {
            if self.last.is_some() || results.borrow().is_none() {
                results.changed().await.ok()?;
            }
            if let Some(last) = self.last {
                tokio::time::sleep_until((last + self.subscriber.throttle).into()).await;
            }
            let newest = results.borrow_and_update().clone();
            let Some(answer) = newest else { continue };
            self.last = Some(Instant::now());
            let hash = answer.shared.as_ref().and_then(|shared| shared.id.rsplit_once('.'));
            if let (Some(had), Some((_, hash))) = (self.had.take(), hash)
                && had == hash
            {
                continue;
            }
            return Some(answer);
        }
    }
}
