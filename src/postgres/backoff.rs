//! How long to wait before connecting again.

use std::time::Duration;

use crate::postgres::Class;

/// Doubling waits with jitter, so that many processes do not come back at once.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    attempts: u32,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_secs(10);
    /// What waits for a person need not be tried often.
    const OPERATOR: Duration = Duration::from_secs(20);

    /// The next wait; `jitter` is between 0 and 1, and spreads it over its upper half.
    pub(super) fn next(&mut self, class: Class, jitter: f64) -> Duration {
        let doubled = Self::FIRST.saturating_mul(1 << self.attempts.min(10)).min(Self::LONGEST);
        self.attempts = self.attempts.saturating_add(1);
        let full = if class == Class::Operator { Self::OPERATOR } else { doubled };
        full.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..10).map(|_| backoff.next(Class::Retry, 1.0).as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000, 10_000]);
        assert_eq!(backoff.next(Class::Retry, 0.0).as_millis(), 5000);
        assert_eq!(Backoff::default().next(Class::Operator, 1.0), Duration::from_secs(20));
    }
}
