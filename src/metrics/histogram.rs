//! How long something takes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The upper bounds of the buckets, in microseconds; what is longer lies in one without a bound.
const BOUNDS: [u64; 16] = [
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    30_000_000,
    60_000_000,
    300_000_000,
];

/// Times by buckets, with their sum.
#[derive(Debug)]
pub struct Histogram {
    buckets: [AtomicU64; BOUNDS.len() + 1],
    /// In microseconds.
    sum: AtomicU64,
}

/// What a histogram held at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Held {
    /// The upper bound in seconds, and how many were at or below it.
    pub buckets: Vec<(f64, u64)>,
    /// How many there were.
    pub count: u64,
    /// Of all of them, in seconds.
    pub sum: f64,
}

impl Histogram {
    pub(super) const fn new() -> Self {
        Self { buckets: [const { AtomicU64::new(0) }; BOUNDS.len() + 1], sum: AtomicU64::new(0) }
    }

    /// It took so long.
    pub fn observe(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.partition_point(|bound| *bound < micros);
        if let Some(bucket) = self.buckets.get(bucket) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.sum.fetch_add(micros, Ordering::Relaxed);
    }

    /// What it holds. The count is that of the buckets, so that they fit together while others count on.
    #[must_use]
    pub fn get(&self) -> Held {
        let mut count = 0;
        let mut counted = self.buckets.iter().map(|bucket| {
            count += bucket.load(Ordering::Relaxed);
            count
        });
        let seconds = |micros: u64| Duration::from_micros(micros).as_secs_f64();
        let buckets = BOUNDS.iter().map(|bound| seconds(*bound)).zip(counted.by_ref()).collect();
        let all = counted.next().unwrap_or_default();
        Held { buckets, count: all, sum: seconds(self.sum.load(Ordering::Relaxed)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_counts_in_its_bucket_and_all_above() {
        let histogram = Histogram::new();
        for millis in [0, 1, 2, 400_000] {
            histogram.observe(Duration::from_millis(millis));
        }
        let held = histogram.get();
        assert_eq!(held.buckets[..2], [(0.001, 2), (0.0025, 3)]);
        assert_eq!(held.buckets.last(), Some(&(300.0, 3)));
        assert_eq!(held.count, 4);
        assert!((held.sum - 400.003).abs() < 1e-9, "{}", held.sum);
    }
}
