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
