//! Results that come by themselves: live queries, GraphQL subscriptions, and what was sent to a topic.
//!
//! [`Feeds`] is told of every transaction by the dispatcher, in stream order, and never makes it wait: it decides under a
//! lock, and what is to be done then runs in tasks of its own.

mod live;
mod subscriptions;

use std::sync::Arc;

use futures_util::stream::BoxStream;

use crate::change::Transaction;
use crate::change::message::Sent;
use crate::graphql::code;
use crate::live::identifier::Identifier;
use crate::operations::{Answer, Fault, Operations, Prepared, Refused};
pub use live::LiveOptions;
use live::LiveQueries;
use subscriptions::Subscriptions;

/// A handle; clones share it. Without operations there is nobody to feed.
#[derive(Clone, Default)]
pub struct Feeds {
    live: Option<LiveQueries>,
    subscriptions: Option<Subscriptions>,
}

impl Feeds {
    /// Feeds for the results of `operations`. Must be called in a runtime, which then carries them out.
    #[must_use]
    pub fn new(operations: &Operations, options: LiveOptions) -> Self {
        Self {
            live: Some(LiveQueries::new(operations.clone(), options)),
            subscriptions: Some(Subscriptions::new(operations.clone(), options.streams)),
        }
    }

    /// How many live queries there are, how many subscribe to them, and how many GraphQL subscriptions there are.
    #[must_use]
    pub fn count(&self) -> (usize, usize, usize) {
        let (live, subscribers) = self.live.as_ref().map(LiveQueries::count).unwrap_or_default();
        (live, subscribers, self.subscriptions.as_ref().map(Subscriptions::count).unwrap_or_default())
    }

    /// A transaction was decoded, or a piece of one. What is no `news` was told by an earlier process: it
    /// concerns live queries only, whose snapshot may not contain it.
    pub fn transaction(&self, transaction: &Arc<Transaction>, news: bool) {
        if let Some(live) = &self.live {
            live.transaction(transaction);
        }
        if let Some(subscriptions) = self.subscriptions.as_ref().filter(|_| news) {
            subscriptions.transaction(transaction);
        }
    }

    /// A session of the slot begins: changes may have been missed.
    pub fn begin(&self) {
        if let Some(live) = &self.live {
            live.begin();
        }
    }

    /// Changes between two sessions of the slot have been missed, as far as can be known.
    pub fn interrupt(&self) {
        if let Some(subscriptions) = &self.subscriptions {
            subscriptions.interrupt();
        }
    }

    /// Another schema is served, or what it means may have changed.
    pub fn schema(&self) {
        if let Some(live) = &self.live {
            live.schema();
        }
        if let Some(subscriptions) = &self.subscriptions {
            subscriptions.schema();
        }
    }

    /// Live queries whose results have one of these resource identifiers run again, until they have seen the transaction
    /// that said so, if one did. A text that is none is passed over.
    pub fn invalidate(&self, keys: &[String], written: Option<u32>) {
        if let Some(live) = &self.live {
            let identifiers: Vec<Identifier> = keys.iter().filter_map(|key| key.parse().ok()).collect();
            live.invalidate(&identifiers, written);
        }
    }

    /// Something was sent to a topic.
    pub fn send(&self, sent: &Arc<Sent>) {
        if let Some(subscriptions) = &self.subscriptions {
            subscriptions.send(sent);
        }
    }

    /// The results of a subscription, from now on; none of any other operation.
    ///
    /// # Errors
    /// When there are too many.
    pub fn subscribe(&self, prepared: Prepared) -> Result<BoxStream<'static, Answer>, Refused> {
        match (&self.subscriptions, prepared.into_subscribed()) {
            (Some(subscriptions), Some(subscribed)) => subscriptions.subscribe(subscribed),
            _ => Ok(Box::pin(futures_util::stream::empty())),
        }
    }

    /// The results of a live query. `last` is the id of the result that the client has already.
    ///
    /// # Errors
    /// When there are too many.
    pub fn live(
        &self,
        prepared: Prepared,
        last: Option<&str>,
    ) -> Result<BoxStream<'static, Answer>, Refused> {
        match &self.live {
            Some(live) => live.subscribe(prepared, last),
            None => Err(Refused::new(Fault::Off, code::LIVE_OFF, "live queries are off on this server")),
        }
    }
}
