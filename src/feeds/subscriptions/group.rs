//! The task of a group: takes what has happened, reads what the log does not tell, and writes each result once.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;

use super::index::GroupId;
use super::{Happened, Inner, overflow};
use crate::change::Change;
use crate::graphql::code;
use crate::graphql::response::FieldError;
use crate::graphql::subscription::{Answers, Reading, Stream, Verdict, error, failed};
use crate::operations::{Operations, Subscribed};

/// How long a commit that is not visible yet is waited for at first, and at most.
const HIDDEN: Duration = Duration::from_millis(1);
const HIDDEN_MOST: Duration = Duration::from_millis(250);

/// Most changes whose rows one statement reads.
const BATCH: usize = 256;

const MISSED: &str =
    "changes may have been missed, since the log was not read in between; read again what they concern";

/// The task; it ends with its group.
pub(super) struct Task {
    operations: Operations,
    inner: Weak<Inner>,
    group: GroupId,
    wake: Arc<Notify>,
}

/// Numbered, as it happened.
type Batch = Vec<(u64, Happened)>;

/// What there is to do.
enum Taken {
    Nothing,
    /// The schema is another one.
    Outdated(Subscribed),
    Batch(Subscribed, Batch),
}

impl Task {
    pub(super) fn new(inner: &Arc<Inner>, group: GroupId, wake: Arc<Notify>) -> Self {
        Self { operations: inner.operations.clone(), inner: Arc::downgrade(inner), group, wake }
    }

    pub(super) async fn run(self) {
        while let Some(taken) = self.take() {
            match taken {
                Taken::Outdated(subscribed) => {
                    if !self.renew(&subscribed) {
                        return;
                    }
                }
                Taken::Nothing => self.wake.notified().await,
                Taken::Batch(subscribed, batch) => {
                    let results = self.results(&subscribed, &batch).await;
                    if !self.publish(&results) {
                        return;
                    }
                }
            }
        }
    }

    /// What has happened; left where it is while the schema is another one.
    fn take(&self) -> Option<Taken> {
        let inner = self.inner.upgrade()?;
        let mut state = inner.lock();
        let group = state.groups.get_mut(self.group)?;
        let subscribed = group.subscribed.clone();
        if !self.is_current(&subscribed.stream) {
            return Some(Taken::Outdated(subscribed));
        }
        let batch: Batch = group.queue.drain(..group.queue.len().min(BATCH)).collect();
        group.bytes -= batch.iter().map(|(_, happened)| happened.bytes()).sum::<usize>();
        Some(if batch.is_empty() { Taken::Nothing } else { Taken::Batch(subscribed, batch) })
    }

    fn is_current(&self, stream: &Stream) -> bool {
        self.operations.served().is_ok_and(|schema| Arc::ptr_eq(&schema.model, stream.model()))
    }

    /// Prepares the subscription for the schema of the moment, or ends it.
    fn renew(&self, subscribed: &Subscribed) -> bool {
        let Some(inner) = self.inner.upgrade() else { return false };
        let prepared = self.operations.prepare((*subscribed.request).clone());
        let mut state = inner.lock();
        match prepared.map(crate::operations::Prepared::into_subscribed) {
            Ok(Some(subscribed)) => {
                state.replace(self.group, subscribed);
                true
            }
            Ok(None) => false,
            Err(refused) => {
                state.remove(self.group, Some(&refused.body));
                false
            }
        }
    }

    /// The results of a batch, in order.
    async fn results(&self, subscribed: &Subscribed, batch: &Batch) -> Vec<(u64, Bytes)> {
        let stream = &subscribed.stream;
        let verdicts: Vec<_> = batch
            .iter()
            .map(|(_, happened)| match happened {
                Happened::Change(change, _) => stream.verdict(change),
                Happened::Sent(_) | Happened::Missed => Verdict::Silent,
            })
            .collect();
        let mut reading = Reading::Nothing;
        let (mut rows, mut transactions) = (Vec::new(), BTreeSet::new());
        for ((_, happened), verdict) in batch.iter().zip(&verdicts) {
            if let (Happened::Change(change, xid), Verdict::Told { reading: needed, certain }) =
                (happened, verdict)
                && *needed > Reading::Nothing
            {
                rows.push((change, *certain));
                transactions.insert(*xid);
                reading = reading.max(*needed);
            }
        }
        let answered = if rows.is_empty() {
            Ok(None)
        } else {
            self.read(subscribed, reading, &rows, &transactions).await
        };
        let (answers, failure) = match &answered {
            Ok(text) => (Answers::read(rows.len(), text.as_deref()), None),
            Err(failure) => (Answers::read(rows.len(), None), Some(failure)),
        };
        let (mut read, mut failure_told) = (0, false);
        let mut results = Vec::with_capacity(batch.len());
        for ((number, happened), verdict) in batch.iter().zip(&verdicts) {
            let result = match (happened, verdict) {
                (Happened::Sent(sent), _) => stream.sent(sent),
                (Happened::Missed, _) => failed(&[error(code::CHANGES_MISSED, MISSED)]),
                (Happened::Change(..), Verdict::Silent) => continue,
                (Happened::Change(change, _), Verdict::Told { reading: Reading::Nothing, .. }) => {
                    stream.result(change, Reading::Nothing, None, None)
                }
                (Happened::Change(change, _), Verdict::Told { certain, .. }) => {
                    read += 1;
                    match (answers.get(read - 1), failure) {
                        (Some(answer), _) => stream.result(change, reading, Some(answer), None),
                        (None, failure) if *certain => stream.result(change, reading, None, failure),
                        (None, Some(failure)) if !failure_told => {
                            failure_told = true;
                            failed(std::slice::from_ref(failure))
                        }
                        // Its row is not there, may not be seen, or does not fit.
                        (None, _) => continue,
                    }
                }
            };
            results.push((*number, result));
        }
        results
    }

    /// Reads rows, again until these transactions are visible: a commit is in the log before others see it, and with
    /// synchronous replication long before.
    async fn read(
        &self,
        subscribed: &Subscribed,
        reading: Reading,
        rows: &[(&Change, bool)],
        transactions: &BTreeSet<u32>,
    ) -> Result<Option<String>, FieldError> {
        let (identity, mut pause) = (&subscribed.request.identity, HIDDEN);
        loop {
            let (text, snapshot) =
                self.operations.read_rows(identity, &subscribed.stream, reading, rows).await?;
            if transactions.iter().all(|xid| snapshot.sees(*xid)) {
                return Ok(text);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(HIDDEN_MOST);
        }
    }

    /// Hands results to all subscribers; says whether there are any left.
    fn publish(&self, results: &[(u64, Bytes)]) -> bool {
        let Some(inner) = self.inner.upgrade() else { return false };
        let mut state = inner.lock();
        let Some(group) = state.groups.get_mut(self.group) else { return false };
        let subscribers = std::mem::take(&mut group.subscribers);
        for subscriber in subscribers {
            let mut news = results.iter().filter(|(number, _)| *number > subscriber.after);
            if news.all(|(_, result)| subscriber.outlet.put(result)) {
                group.subscribers.push(subscriber);
            } else {
                subscriber.outlet.end(&overflow());
            }
        }
        if group.subscribers.is_empty() {
            state.remove(self.group, None);
            return false;
        }
        true
    }
}
