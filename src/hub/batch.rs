//! Frames in a row for the same members become one: a socket then takes what would have been many pieces as one.

use bytes::Bytes;
use smallvec::SmallVec;

use super::Delivery;
use crate::channel::frame::Frame;
use crate::channel::lane::LaneSet;

/// How long frames become together, in bytes. Longer ones would outgrow what a socket takes at once.
const BATCH_BYTES: usize = 64 * 1024;

/// Joins deliveries of one topic that follow each other, whose frames are for the same lanes, up to a bound in bytes.
/// Whoever gets the last of them has to get the first: so what was routed before the last member came, at `last_join`,
/// stays alone.
pub(super) fn together(deliveries: Vec<Delivery>, outbox_bytes: usize, last_join: u64) -> Vec<Delivery> {
    if deliveries.len() < 2 {
        return deliveries;
    }
    let bound = BATCH_BYTES.min(outbox_bytes);
    let mut fewer = Vec::new();
    let mut rest = deliveries.as_slice();
    while let [first, others @ ..] = rest {
        let lanes = lanes(first);
        let mut bytes = longest(first);
        let fits = |next: &&Delivery| {
            bytes += longest(next);
            lanes.is_some()
                && first.sequence > last_join
                && next.topic == first.topic
                && bytes <= bound
                && self::lanes(next) == lanes
        };
        let row = 1 + others.iter().take_while(fits).count();
        let (row, behind) = rest.split_at(row);
        fewer.push(join(first, row));
        rest = behind;
    }
    fewer
}

/// The length of the longest frame: a bound for every lane is one for each.
fn longest(delivery: &Delivery) -> usize {
    delivery.frames.iter().map(|(_, frame)| frame.len()).max().unwrap_or_default()
}

/// The lanes of each frame, where every frame is one buffer.
fn lanes(delivery: &Delivery) -> Option<SmallVec<[LaneSet; 2]>> {
    delivery.frames.iter().map(|(lanes, frame)| matches!(frame, Frame::Whole(_)).then_some(*lanes)).collect()
}

fn join(first: &Delivery, row: &[Delivery]) -> Delivery {
    let [_, .., last] = row else { return first.clone() };
    let frames = first.frames.iter().enumerate().map(|(place, (lanes, _))| {
        let buffers = row.iter().filter_map(|delivery| match delivery.frames.get(place) {
            Some((_, Frame::Whole(bytes))) => Some(bytes),
            _ => None,
        });
        let mut all = Vec::with_capacity(buffers.clone().map(Bytes::len).sum());
        buffers.for_each(|bytes| all.extend_from_slice(bytes));
        (*lanes, Frame::Whole(all.into()))
    });
    let changes = row.iter().map(|delivery| delivery.changes).sum();
    Delivery { sequence: last.sequence, changes, frames: frames.collect(), ..*first }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::change::value::Profile;
    use crate::channel::lane::Lane;
    use crate::channel::serializer::Version;
    use crate::topic::index::TopicId;

    const LANE: Lane = Lane { version: Version::V2, profile: Profile::Default, star: false, deflate: false };

    fn delivery(sequence: u64, topic: u32, frame: Frame) -> Delivery {
        Delivery {
            topic: TopicId(topic),
            sequence,
            changes: 1,
            wait: Duration::ZERO,
            frames: [(LaneSet::of(LANE), frame)].into_iter().collect(),
        }
    }

    fn whole(sequence: u64, topic: u32, text: &str) -> Delivery {
        delivery(sequence, topic, Frame::Whole(Bytes::copy_from_slice(text.as_bytes())))
    }

    /// Topic, number, and what is sent.
    fn told(deliveries: &[Delivery]) -> Vec<(u32, u64, String)> {
        let text = |frame: &Frame| match frame {
            Frame::Whole(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Frame::Parts(parts) => format!("{} parts", parts.len()),
        };
        deliveries.iter().map(|one| (one.topic.0, one.sequence, text(&one.frames[0].1))).collect()
    }

    #[test]
    fn frames_of_one_topic_become_one_where_nothing_comes_between() {
        let deliveries =
            vec![whole(1, 7, "a"), whole(2, 7, "b"), whole(3, 8, "c"), whole(4, 7, "d"), whole(5, 7, "e")];
        let joined = together(deliveries, 1000, 0);
        assert_eq!(told(&joined), [(7, 2, "ab".into()), (8, 3, "c".into()), (7, 5, "de".into())]);
    }

    #[test]
    fn what_a_member_that_joined_meanwhile_must_not_get_stays_alone() {
        let deliveries = vec![whole(1, 7, "a"), whole(2, 7, "b"), whole(3, 7, "c"), whole(4, 7, "d")];
        let expected = [(7, 1, "a".into()), (7, 2, "b".into()), (7, 4, "cd".into())];
        assert_eq!(told(&together(deliveries, 1000, 2)), expected);
    }

    #[test]
    fn none_grows_beyond_the_bound_and_large_frames_stay_in_parts() {
        let parts = || Frame::Parts([Bytes::from_static(b"x"), Bytes::from_static(b"y")].into());
        let deliveries = vec![
            whole(1, 7, "abc"),
            whole(2, 7, "def"),
            whole(3, 7, "ghi"),
            delivery(4, 7, parts()),
            delivery(5, 7, parts()),
            whole(6, 7, "a frame over the bound"),
        ];
        let expected = [
            (7, 2, "abcdef".into()),
            (7, 3, "ghi".into()),
            (7, 4, "2 parts".into()),
            (7, 5, "2 parts".into()),
            (7, 6, "a frame over the bound".into()),
        ];
        assert_eq!(told(&together(deliveries, 6, 0)), expected);
    }
}
