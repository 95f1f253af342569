//! When each socket is looked at next: a wheel of seconds.
//!
//! A socket is put in once for each time that it may have to be pinged or closed for its silence. What it says meanwhile
//! writes nothing here: whoever looks finds that it spoke, and puts it in again for later.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The key of a socket among those of its shard.
pub(super) type Key = usize;

/// The second in which a socket is looked at. A key may go to another socket meanwhile: whoever looks has to ask the
/// socket whether it expects this round.
pub(super) type Round = u64;

#[derive(Debug)]
pub(super) struct Rounds {
    begun: Instant,
    to_come: BTreeMap<Round, Vec<Key>>,
    /// The last one that was taken.
    last: Round,
}

impl Rounds {
    pub(super) const fn new(begun: Instant) -> Self {
        Self { begun, to_come: BTreeMap::new(), last: 0 }
    }

    /// Has a socket looked at once `due` has passed, at the next second after it.
    pub(super) fn enter(&mut self, key: Key, due: Instant) -> Round {
        let round = due.saturating_duration_since(self.begun).as_secs().max(self.last) + 1;
        self.to_come.entry(round).or_default().push(key);
        round
    }

    /// Takes the next round that is due, with its sockets.
    pub(super) fn next(&mut self, now: Instant) -> Option<(Round, Vec<Key>)> {
        let round = self.to_come.first_entry()?;
        let begins = self.begun + Duration::from_secs(*round.key());
        (begins <= now).then(|| {
            self.last = *round.key();
            round.remove_entry()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn after(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn each_is_looked_at_in_the_second_after_its_time() {
        let start = Instant::now();
        let mut rounds = Rounds::new(start);
        rounds.enter(1, start + after(2_500));
        rounds.enter(2, start + after(2_000));
        rounds.enter(3, start + after(4_900));
        assert_eq!(rounds.next(start + after(2_900)), None);
        assert_eq!(rounds.next(start + after(3_000)), Some((3, vec![1, 2])));
        assert_eq!(rounds.next(start + after(3_000)), None);
        assert_eq!(rounds.next(start + after(60_000)), Some((5, vec![3])));
    }

    #[test]
    fn what_is_overdue_waits_for_the_next_round() {
        let start = Instant::now();
        let mut rounds = Rounds::new(start);
        rounds.enter(1, start);
        let (round, _) = rounds.next(start + after(7_200)).unwrap();
        // Who looks may put it in again at once, and must come to an end.
        assert_eq!((round, rounds.enter(1, start)), (1, 2));
        assert_eq!(rounds.next(start + after(1_500)), None);
    }
}
