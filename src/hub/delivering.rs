//! Frames to the members of a shard, in order.

use std::rc::Rc;
use std::time::Instant;

use super::closing::{CLOSE_WITHIN, Closing};
use super::connection::Connection;
use super::shard::Shard;
use super::{Delivery, batch};
use crate::channel::frame::Frame;
use crate::metrics::COUNTED;

/// Sockets that are told something before all are heard again.
const UNHEARD: usize = 1024;

impl Shard {
    /// Puts frames into outboxes, in order, and writes what sockets take. Pauses for full outboxes.
    pub(super) async fn deliver(&self, deliveries: Vec<Delivery>) {
        let deliveries = batch::together(deliveries, self.rules.outbox_bytes, self.last_join.get());
        // A frame with others behind it waits for them, so that each socket is written to once.
        let mut listed: Vec<Rc<Connection>> = Vec::new();
        let alone = deliveries.len() == 1;
        let mut unheard = 0;
        for delivery in &deliveries {
            if unheard > UNHEARD {
                unheard = 0;
                flush(&mut listed);
                tokio::task::yield_now().await;
            }
            let (told, full) = self.distribute(delivery, (!alone).then_some(&mut listed));
            unheard += told;
            if full.is_empty() {
                continue;
            }
            flush(&mut listed);
            let start = Instant::now();
            for (connection, frame) in full {
                if self.room(&connection, frame.len(), start).await && self.still_wants(&connection, delivery)
                {
                    connection.state.borrow_mut().outbox.push(&frame);
                    connection.flush();
                    COUNTED.deliveries.add(delivery.changes.into());
                }
            }
        }
        flush(&mut listed);
    }

    /// Puts the frames of one change, or of several in a row, where there is room: into sockets at once, or into
    /// outboxes that are `listed`. Returns how many were told, and whom there was no room for.
    fn distribute(
        &self,
        delivery: &Delivery,
        mut listed: Option<&mut Vec<Rc<Connection>>>,
    ) -> (usize, Vec<(Rc<Connection>, Frame)>) {
        let mut full = Vec::new();
        let mut told = 0;
        let now = Instant::now();
        let members = self.members.borrow();
        let Some(members) = members.get(&delivery.topic) else { return (0, full) };
        for (_, member) in members {
            if delivery.sequence <= member.after {
                continue;
            }
            let Some((_, frame)) = delivery.frames.iter().find(|(lanes, _)| lanes.has(member.lane)) else {
                continue;
            };
            let connection = &member.connection;
            let state = &mut *connection.state.borrow_mut();
            if !state.is_open() {
                continue;
            }
            if !state.outbox.has_room(frame.len(), self.rules.outbox_bytes) {
                full.push((Rc::clone(connection), frame.clone()));
                continue;
            }
            told += 1;
            let Some(listed) = &mut listed else {
                connection.send(state, frame, now);
                continue;
            };
            state.outbox.push(frame);
            if !connection.listed.replace(true) {
                listed.push(Rc::clone(connection));
            }
        }
        COUNTED.deliveries.add(u64::from(delivery.changes) * told as u64);
        (told, full)
    }

    /// Waits until the outbox has room, or closes a socket that had its time; `false` when it is closed.
    /// The pause began at `start` for all who were full then: they are waited for together, not in turn,
    /// while their tasks go on writing to them.
    async fn room(&self, connection: &Connection, length: usize, start: Instant) -> bool {
        let mut paused = false;
        connection.flush();
        loop {
            if !connection.is_open() {
                return false;
            }
            let now = Instant::now();
            let waited = now.saturating_duration_since(start);
            let left = {
                let state = &mut *connection.state.borrow_mut();
                if state.outbox.has_room(length, self.rules.outbox_bytes) {
                    if paused {
                        state.pauses.record(now, waited);
                    }
                    return true;
                }
                state.pauses.allowance(self.rules.pause, now).saturating_sub(waited)
            };
            if left.is_zero() {
                // The last try is our own, so that a shard that was busy elsewhere closes nobody.
                connection.insist();
                let state = connection.state.borrow();
                if state.outbox.has_room(length, self.rules.outbox_bytes) {
                    continue;
                }
                drop(state);
                tracing::info!(
                    pending = connection.state.borrow().outbox.bytes(),
                    "closing a socket that reads too slowly"
                );
                connection.close(Closing::SLOW, true, CLOSE_WITHIN);
                return false;
            }
            paused = true;
            let _ = tokio::time::timeout(left, connection.room.notified()).await;
        }
    }

    /// Whether the channel is still joined after a pause.
    fn still_wants(&self, connection: &Rc<Connection>, delivery: &Delivery) -> bool {
        let members = self.members.borrow();
        let state = connection.state.borrow();
        state.memberships.iter().filter(|membership| membership.topic == delivery.topic).any(|membership| {
            let member = members.get(&membership.topic).and_then(|topic| topic.get(membership.place));
            member.is_some_and(|member| member.after < delivery.sequence)
        })
    }
}

fn flush(listed: &mut Vec<Rc<Connection>>) {
    for connection in listed.drain(..) {
        connection.listed.set(false);
        connection.flush();
    }
}
