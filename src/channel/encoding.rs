//! Changes as payloads and frames, each written once for all who want it in one form.

use bytes::Bytes;
use smallvec::SmallVec;

use super::frame;
use super::lane::{Lane, LaneSet};
use super::serializer::{Reference, Version, envelope};
use crate::change::Change;
use crate::change::value::Profile;
use crate::change::wire::Telling;

/// The payloads of one change, each written when it is first wanted.
#[derive(Debug)]
pub struct Payloads<'a> {
    change: &'a Change,
    commit_timestamp: &'a str,
    plain: [Option<Bytes>; Profile::COUNT],
    left: [Option<Bytes>; Profile::COUNT],
}

impl<'a> Payloads<'a> {
    /// Of `change`, whose transaction was committed at `commit_timestamp`.
    #[must_use]
    pub const fn new(change: &'a Change, commit_timestamp: &'a str) -> Self {
        const NONE: Option<Bytes> = None;
        Self { change, commit_timestamp, plain: [NONE; Profile::COUNT], left: [NONE; Profile::COUNT] }
    }

    /// The payload for whom the change is told so, with values of this profile.
    pub fn get(&mut self, telling: Telling, profile: Profile) -> Bytes {
        let written = match telling {
            Telling::Plain => &mut self.plain,
            Telling::LeftFilter => &mut self.left,
        };
        let write = || {
            let mut out = Vec::with_capacity(1024);
            self.change.write_payload(&mut out, self.commit_timestamp, telling, profile);
            Bytes::from(out)
        };
        match written.get_mut(profile.index()) {
            Some(slot) => slot.get_or_insert_with(write).clone(),
            None => write(),
        }
    }
}

/// What puts envelopes and headers around a payload.
type Around = fn(&Bytes, &[(&[u8], &[u8])]) -> (frame::Frame, frame::Frame);

/// The frames of one change for one topic, for every lane that is wanted.
#[must_use]
pub fn frames(
    payloads: &mut Payloads<'_>,
    topic: &str,
    telling: Telling,
    wanted: LaneSet,
) -> SmallVec<[(LaneSet, frame::Frame); 2]> {
    let mut frames = SmallVec::new();
    for version in Version::ALL {
        for profile in Profile::ALL {
            for (deflate, around) in [(false, frame::around as Around), (true, frame::deflated)] {
                let both = Lane { version, profile, star: true, deflate };
                let typed = Lane { star: false, ..both };
                if !wanted.has(both) && !wanted.has(typed) {
                    continue;
                }
                let payload = payloads.get(telling, profile);
                let null = Reference::null();
                let envelope = |event| envelope(version, &null, &null, topic, event);
                let event = envelope(payloads.change.event(telling));
                if wanted.has(both) {
                    let star = envelope("*");
                    let envelopes = [(&*star.prefix, &*star.suffix), (&*event.prefix, &*event.suffix)];
                    let (pair, last) = around(&payload, &envelopes);
                    frames.push((LaneSet::of(both), pair));
                    if wanted.has(typed) {
                        frames.push((LaneSet::of(typed), last));
                    }
                } else {
                    let (only, _) = around(&payload, &[(&event.prefix, &event.suffix)]);
                    frames.push((LaneSet::of(typed), only));
                }
            }
        }
    }
    frames
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::frame::Frame;
    use super::*;
    use crate::change::types::builtin;
    use crate::change::{Action, Column, Relation, Row};
    use crate::lsn::Cursor;
    use crate::pgoutput::ReplicaIdentity;

    /// An insert that is too large to be copied into each frame.
    fn large() -> Change {
        let text = "x".repeat(20_000);
        let mut row = vec![b't'];
        row.extend(u32::try_from(text.len()).unwrap().to_be_bytes());
        row.extend(text.as_bytes());
        let info = builtin(25).unwrap();
        let column = Column { name: "body".into(), key: false, type_oid: 25, type_modifier: -1, info };
        let relation = Relation::new(1, "public".into(), "t".into(), ReplicaIdentity::Default, vec![column]);
        let action = Action::Insert { new: Row(row.into()) };
        Change { cursor: Cursor::default(), relation: Arc::new(relation), action }
    }

    fn every_plain_lane(profile: Profile) -> LaneSet {
        let mut lanes = LaneSet::default();
        for version in Version::ALL {
            for star in [false, true] {
                lanes.set(Lane { version, profile, star, deflate: false }, true);
            }
        }
        lanes
    }

    /// Where the payloads lie that these frames carry.
    fn payloads_of(frames: &[(LaneSet, Frame)]) -> Vec<*const u8> {
        let parts = frames.iter().flat_map(|(_, frame)| match frame {
            Frame::Parts(parts) => parts.to_vec(),
            Frame::Whole(_) => panic!("the payload was copied"),
        });
        parts.filter(|part| part.len() > 16_000).map(|part| part.as_ptr()).collect()
    }

    #[test]
    fn a_change_that_nobody_wants_is_never_written() {
        let change = large();
        let mut payloads = Payloads::new(&change, "");
        assert!(frames(&mut payloads, "realtime:public:t", Telling::Plain, LaneSet::default()).is_empty());
        assert!(payloads.plain.iter().chain(&payloads.left).all(Option::is_none));
    }

    #[test]
    fn a_payload_is_written_once_for_all_topics_serializers_and_twins() {
        let change = large();
        let mut payloads = Payloads::new(&change, "");
        let mut lying = Vec::new();
        for topic in ["realtime:public:t", "realtime:public:*"] {
            let lanes = every_plain_lane(Profile::Default);
            lying.extend(payloads_of(&frames(&mut payloads, topic, Telling::Plain, lanes)));
        }
        // For each topic and serializer: the pair, and its second half alone.
        assert_eq!(lying.len(), 2 * 2 * 3);
        assert!(lying.iter().all(|place| *place == lying[0]));
        let exact = frames(&mut payloads, "realtime:*", Telling::Plain, every_plain_lane(Profile::Exact));
        assert!(payloads_of(&exact).iter().all(|place| *place != lying[0]), "another profile, other bytes");
        assert_eq!(payloads.plain.iter().flatten().count(), 2);
    }
}
