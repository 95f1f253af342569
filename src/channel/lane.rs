//! The forms in which one topic's changes are sent: members of a lane get the same bytes.

use crate::change::value::Profile;
use crate::channel::serializer::Version;

/// A serializer, a value profile, whether the `*` twin is wanted, and whether messages are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lane {
    /// The socket's serializer.
    pub version: Version,
    /// The channel's value profile.
    pub profile: Profile,
    /// Whether each change is sent as `*` too.
    pub star: bool,
    /// Whether the socket takes compressed messages (RFC 7692).
    pub deflate: bool,
}

impl Lane {
    /// How many lanes there are.
    pub const COUNT: usize = Version::ALL.len() * Profile::COUNT * 4;

    /// The place of this lane among all.
    #[must_use]
    pub const fn index(self) -> usize {
        let version = match self.version {
            Version::V1 => 0,
            Version::V2 => 1,
        };
        ((version * Profile::COUNT + self.profile.index()) * 2 + self.star as usize) * 2
            + self.deflate as usize
    }
}

/// A set of lanes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LaneSet(u32);

impl LaneSet {
    /// The set of one lane.
    #[must_use]
    pub const fn of(lane: Lane) -> Self {
        Self(1 << lane.index())
    }

    /// Adds or removes a lane.
    pub const fn set(&mut self, lane: Lane, present: bool) {
        if present {
            self.0 |= 1 << lane.index();
        } else {
            self.0 &= !(1 << lane.index());
        }
    }

    /// Whether the lane is in the set.
    #[must_use]
    pub const fn has(self, lane: Lane) -> bool {
        self.0 & (1 << lane.index()) != 0
    }

    /// Whether there is no lane.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The lanes of both.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}
