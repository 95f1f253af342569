//! Frames for those who come back, each encoded once for all who come back at about the same time.
//!
//! A thousand clients that lost their connection together ask for the same changes, each at its own pace. And rows may be
//! large: a frame that waits for a slow socket is found here for as long as it waits, so that all who are told it wait with
//! the same bytes.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::change::wire::Telling;
use crate::channel::frame::Frame;
use crate::channel::lane::Lane;
use crate::lsn::{Cursor, Epoch};

/// How much is kept, in bytes; what waits for sockets, and so takes memory anyway, may exceed it.
const KEPT: usize = 1 << 20;

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
    frames: HashMap<Form, Frame>,
    /// In the order in which they are given up, unless somebody waits with them.
    order: VecDeque<Form>,
    bytes: usize,
}

impl Retold {
    /// The frame of this form, encoded if it is not here.
    pub(super) fn frame(&mut self, form: Form, encode: impl FnOnce() -> Option<Frame>) -> Option<Frame> {
        if let Some(frame) = self.frames.get(&form) {
            return Some(frame.clone());
        }
        let frame = encode()?;
        self.bytes += frame.len() + ENTRY;
        self.order.push_back(form.clone());
        self.frames.insert(form, frame.clone());
        for _ in 0..LOOKED_AT {
            if self.bytes <= KEPT {
                break;
            }
            self.give_up_oldest();
        }
        Some(frame)
    }

    /// Gives up what nobody waits with.
    pub(super) fn sweep(&mut self) {
        for _ in 0..self.order.len() {
            self.give_up_oldest();
        }
        if self.frames.is_empty() {
            *self = Self::default();
        }
    }

    fn give_up_oldest(&mut self) {
        let Some(form) = self.order.pop_front() else { return };
        if self.frames.get(&form).is_some_and(Frame::is_shared) {
            self.order.push_back(form);
        } else if let Some(frame) = self.frames.remove(&form) {
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
        assert_eq!(retold.order.len(), 1);
        retold.frame(form(0), not_again);
        drop(waiting);
        retold.sweep();
        assert_eq!((retold.order.len(), retold.frames.len(), retold.bytes), (0, 0, 0));
    }

    #[test]
    fn what_nobody_waits_with_is_bounded() {
        let mut retold = Retold::default();
        let waiting: Vec<_> = (0..50).map(|number| retold.frame(form(number), || Some(large()))).collect();
        assert!(retold.bytes > 50 * KEPT);
        drop(waiting);
        for number in 100..40_000 {
            retold.frame(form(number), || Some(Frame::Whole(Bytes::from(vec![0; 100]))));
        }
        assert!(retold.bytes <= KEPT, "{}", retold.bytes);
        assert_eq!(retold.frames.len(), retold.order.len());
        let held: usize = retold.frames.values().map(|frame| frame.len() + ENTRY).sum();
        assert_eq!(retold.bytes, held);
    }
}
