//! Results that come by themselves: live queries, GraphQL subscriptions, and what was sent to a topic.
//!
//! [`Feeds`] is told of every transaction by the dispatcher, in stream order, and never makes it wait: it decides under a
//! lock, and what is to be done then runs in tasks of its own.

use std::sync::Arc;

use crate::change::Transaction;
use crate::change::message::Sent;

/// A handle; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Feeds {}

impl Feeds {
    /// A transaction was decoded, or a piece of one.
    pub fn transaction(&self, _transaction: &Arc<Transaction>) {}

    /// A session of the slot begins: changes may have been missed.
    pub fn begin(&self) {}

    /// Live queries whose results have one of these resource identifiers run again.
    pub fn invalidate(&self, _keys: &[String]) {}

    /// Something was sent to a topic.
    pub fn send(&self, _sent: &Arc<Sent>) {}
}
