//! Frames for those who come back, each encoded once for all who come back at about the same time.
//!
//! A thousand clients that lost their connection together ask for the same changes, each at its own pace. And rows may be
//! large: a large frame that waits for a slow socket is found here for as long as it waits, so that all of this shard who are
//! told it wait with the same bytes.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::change::wire::Telling;
use crate::channel::frame::Frame;
use crate::channel::lane::Lane;
use crate::lsn::{Cursor, Epoch};

/// How much is kept of small and of large frames, in bytes each; large ones that wait for sockets, and so take memory anyway,
/// may exceed it.
const KEPT: usize = 1 << 20;

/// Frames from this size on are large.
const LARGE: usize = 16 * 1024;

/// What a frame takes here beside its bytes.
const ENTRY: usize = 256;

/// Frames looked at for each that is added: more than one, so that what exceeds the bound shrinks.
const LOOKED_AT: usize = 3;

/// A change, and the form in which a channel is told of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Form {
    pub(super) cursor: Cursor,
    pub(super) epoch: Option<Epoch>,
    pub(super) telling: Telling,
    pub(super) lane: Lane,
    /// The topic, as the client spells it.
    pub(super) spelled: Arc<str>,
}

#[derive(Debug, Default)]
pub(super) struct Retold {
    small: Frames,
    large: Frames,
}

#[derive(Debug, Default)]
struct Frames {
    by_form: HashMap<Form, Frame>,
    /// In the order in which they are given up.
    order: VecDeque<Form>,
    bytes: usize,
}

impl Retold {
    /// The frame of this form, encoded if it is not here.
    pub(super) fn frame(&mut self, form: Form, encode: impl FnOnce() -> Option<Frame>) -> Option<Frame> {
        let known = self.small.by_form.get(&form).or_else(|| self.large.by_form.get(&form));
        if let Some(frame) = known {
            return Some(frame.clone());
        }
        let frame = encode()?;
        if frame.len() < LARGE {
            self.small.add(form, frame.clone(), |_| false);
        } else {
            self.large.add(form, frame.clone(), Frame::is_shared);
        }
        Some(frame)
    }

    /// Gives up what nobody waits with, once a second.
    pub(super) fn sweep(&mut self) {
        self.small = Frames::default();
        for _ in 0..self.large.order.len() {
            self.large.give_up_oldest(Frame::is_shared);
        }
        if self.large.order.is_empty() {
            self.large = Frames::default();
        }
    }
}

impl Frames {
    fn add(&mut self, form: Form, frame: Frame, is_wanted: fn(&Frame) -> bool) {
        self.bytes += frame.len() + ENTRY;
        self.order.push_back(form.clone());
        self.by_form.insert(form, frame);
        for _ in 0..LOOKED_AT {
            if self.bytes <= KEPT {
                break;
            }
            self.give_up_oldest(is_wanted);
        }
    }

    fn give_up_oldest(&mut self, is_wanted: fn(&Frame) -> bool) {
        let Some(form) = self.order.pop_front() else { return };
        if self.by_form.get(&form).is_some_and(is_wanted) {
            self.order.push_back(form);
        } else if let Some(frame) = self.by_form.remove(&form) {
            self.bytes -= frame.len() + ENTRY;
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::change::value::Profile;
    use crate::channel::serializer::Version;
    use crate::lsn::Lsn;

    fn form(number: u64) -> Form {
        let lane = Lane { version: Version::V2, profile: Profile::Default, star: false, deflate: false };
        Form {
            cursor: Cursor { commit: Lsn(number), change: Lsn(number), index: 0 },
            epoch: Some(Epoch { system: 1, timeline: 1 }),
            telling: Telling::Plain,
            lane,
            spelled: "realtime:public:t".into(),
        }
    }

    fn large() -> Frame {
        let end = || Bytes::from(vec![0; 10]);
        Frame::Parts([end(), Bytes::from(vec![0; KEPT]), end()].into())
    }

    fn not_again() -> Option<Frame> {
        panic!("this was encoded before")
    }

    #[test]
    fn what_was_encoded_for_one_is_there_for_the_next_in_the_same_form_alone() {
        let mut retold = Retold::default();
        let frame = || Some(Frame::Whole(Bytes::from(vec![7])));
        assert!(retold.frame(form(1), frame).is_some());
        assert_eq!(retold.frame(form(1), not_again).unwrap().len(), 1);
        let others = [
            Form { epoch: Some(Epoch { system: 1, timeline: 2 }), ..form(1) },
            Form { telling: Telling::LeftFilter, ..form(1) },
            Form { lane: Lane { star: true, ..form(1).lane }, ..form(1) },
            Form { spelled: "realtime:public:u".into(), ..form(1) },
        ];
        for other in others {
            let mut encoded = false;
            retold.frame(other, || {
                encoded = true;
                frame()
            });
            assert!(encoded);
        }
    }

    #[test]
    fn a_large_frame_is_kept_for_as_long_as_somebody_waits_with_it() {
        let mut retold = Retold::default();
        let waiting = retold.frame(form(0), || Some(large())).unwrap();
        for number in 1..100 {
            retold.frame(form(number), || Some(large()));
            retold.sweep();
        }
        assert_eq!(retold.large.order.len(), 1);
        retold.frame(form(0), not_again);
        drop(waiting);
        retold.sweep();
        let Frames { by_form, order, bytes } = &retold.large;
        assert_eq!((by_form.len(), order.len(), *bytes), (0, 0, 0));
    }

    fn consistent(frames: &Frames) -> bool {
        let held: usize = frames.by_form.values().map(|frame| frame.len() + ENTRY).sum();
        frames.bytes == held && frames.by_form.len() == frames.order.len()
    }

    #[test]
    fn what_nobody_waits_with_is_bounded() {
        let mut retold = Retold::default();
        let waiting: Vec<_> = (0..50).map(|number| retold.frame(form(number), || Some(large()))).collect();
        assert!(retold.large.bytes > 50 * KEPT);
        drop(waiting);
        for number in 50..150 {
            retold.frame(form(number), || Some(large()));
        }
        // Each alone exceeds the bound; the last one was still in our hands when it was added.
        assert!(retold.large.order.len() <= 1 && consistent(&retold.large), "{}", retold.large.bytes);
    }

    #[test]
    fn small_frames_that_wait_for_sockets_leave_room_for_others() {
        let mut retold = Retold::default();
        let small = || Some(Frame::Whole(Bytes::from(vec![0; 100])));
        let waiting: Vec<_> = (0..100_000).map(|number| retold.frame(form(number), small)).collect();
        assert!(retold.small.bytes <= KEPT && consistent(&retold.small), "{}", retold.small.bytes);
        assert!(retold.frame(form(99_999), not_again).is_some());
        drop(waiting);
        retold.sweep();
        assert_eq!(retold.small.bytes, 0);
    }
}
