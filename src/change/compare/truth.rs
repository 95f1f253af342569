//! Three-valued logic in which something may be unknown.

use std::ops::BitOr;

/// What a condition may be: true, false or null (PostgreSQL manual, 9.1), or more than one of them where
/// the log does not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Truth(u8);

impl Truth {
    /// True.
    pub const TRUE: Self = Self(1);
    /// False.
    pub const FALSE: Self = Self(2);
    /// Null: neither, which is as good as false at the end and not under a `not`.
    pub const NULL: Self = Self(4);
    /// Any of the three.
    pub const ANY: Self = Self(7);
    /// True or false.
    pub const EITHER: Self = Self(3);

    /// What is known for sure.
    #[must_use]
    pub const fn of(known: bool) -> Self {
        if known { Self::TRUE } else { Self::FALSE }
    }

    /// Whether it may be true.
    #[must_use]
    pub const fn may_hold(self) -> bool {
        self.has(Self::TRUE)
    }

    /// Whether it is true for sure.
    #[must_use]
    pub const fn holds(self) -> bool {
        self.0 == Self::TRUE.0
    }

    const fn has(self, one: Self) -> bool {
        self.0 & one.0 != 0
    }

    /// SQL's `not`.
    #[must_use]
    pub const fn not(self) -> Self {
        Self((self.0 & Self::NULL.0) | ((self.0 & 1) << 1) | ((self.0 & 2) >> 1))
    }

    /// SQL's `and`.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let true_or_null = Self::TRUE | Self::NULL;
        let mut both = Self(self.0 & other.0 & Self::TRUE.0);
        if self.has(Self::FALSE) || other.has(Self::FALSE) {
            both = both | Self::FALSE;
        }
        if self.has(Self::NULL) && other.has(true_or_null) || other.has(Self::NULL) && self.has(true_or_null)
        {
            both = both | Self::NULL;
        }
        both
    }

    /// SQL's `or`.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        self.not().and(other.not()).not()
    }
}

impl BitOr for Truth {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truth_has_three_values_and_sets_of_them() {
        const EACH: [Truth; 3] = [Truth::TRUE, Truth::FALSE, Truth::NULL];
        let single = |one: Truth, two: Truth| {
            if one == Truth::FALSE || two == Truth::FALSE {
                Truth::FALSE
            } else if one == Truth::NULL || two == Truth::NULL {
                Truth::NULL
            } else {
                Truth::TRUE
            }
        };
        for one in 1..8 {
            for two in 1..8 {
                let (one, two) = (Truth(one), Truth(two));
                let mut all = Truth(0);
                for a in EACH.into_iter().filter(|a| one.has(*a)) {
                    for b in EACH.into_iter().filter(|b| two.has(*b)) {
                        all = all | single(a, b);
                    }
                }
                assert_eq!(one.and(two), all, "{one:?} and {two:?}");
                assert_eq!(one.or(two), one.not().and(two.not()).not());
            }
            assert_eq!(Truth(one).not().not(), Truth(one));
        }
        assert_eq!((Truth::TRUE.not(), Truth::NULL.not()), (Truth::FALSE, Truth::NULL));
        assert!(Truth::ANY.may_hold() && !Truth::ANY.holds() && !Truth::NULL.may_hold());
    }
}
