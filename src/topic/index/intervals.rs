//! Ranges by the values within them: a treap in the order of their beginnings in which each node knows the
//! latest end below it (Cormen et al., "Interval trees"; Seidel and Aragon, "Randomized Search Trees").
//! To find the k ranges that hold a value among n takes O((k + 1) log n).

use std::cmp::Ordering;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use crate::change::compare::Key;

/// A place between values.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Edge {
    /// Before all values.
    Start,
    /// Just before this value, or just after it.
    At(Key, bool),
    /// After all values.
    End,
}

impl Edge {
    fn is_before(&self, value: &Key) -> bool {
        match self {
            Self::Start => true,
            Self::At(key, after) => match key.cmp(value) {
                Ordering::Less => true,
                Ordering::Equal => !after,
                Ordering::Greater => false,
            },
            Self::End => false,
        }
    }
}

/// The values between two edges; none, if they are the wrong way round.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Range {
    pub(super) low: Edge,
    pub(super) high: Edge,
}

/// Ranges, each with what it leads to.
#[derive(Debug)]
pub(super) struct Intervals<T> {
    root: Link<T>,
    /// Gives each range its rank. Nobody outside can foresee it, and so make the tree lopsided.
    ranks: RandomState,
}

type Link<T> = Option<Box<Node<T>>>;

#[derive(Debug)]
struct Node<T> {
    range: Range,
    leads_to: Vec<T>,
    /// Above all that are below.
    rank: u64,
    /// The latest end from here downwards.
    latest: Edge,
    left: Link<T>,
    right: Link<T>,
}

impl<T> Default for Intervals<T> {
    fn default() -> Self {
        Self { root: None, ranks: RandomState::new() }
    }
}

impl<T: PartialEq> Intervals<T> {
    pub(super) const fn is_empty(&self) -> bool {
        self.root.is_none()
    }

    pub(super) fn insert(&mut self, range: Range, item: T) {
        let mut link = &mut self.root;
        // A known range gains an item; its node is looked for first, since nothing else changes then.
        while let Some(node) = link {
            match range.cmp(&node.range) {
                Ordering::Less => link = &mut node.left,
                Ordering::Greater => link = &mut node.right,
                Ordering::Equal => return node.leads_to.push(item),
            }
        }
        let rank = self.ranks.hash_one(&range);
        let (left, right) = split(self.root.take(), &range);
        let latest = range.high.clone();
        let node = Box::new(Node { range, leads_to: vec![item], rank, latest, left: None, right: None });
        self.root = merge(merge(left, Some(node)), right);
    }

    pub(super) fn remove(&mut self, range: &Range, item: &T) {
        let root = self.root.take();
        self.root = remove(root, range, item);
    }

    /// Calls `found` for what leads on from each range that holds `value`.
    pub(super) fn containing(&self, value: &Key, found: &mut impl FnMut(&T)) {
        containing(self.root.as_deref(), value, found);
    }

    /// Calls `found` for everything.
    pub(super) fn all(&self, found: &mut impl FnMut(&T)) {
        all(self.root.as_deref(), found);
    }
}

impl<T> Node<T> {
    /// After something below has changed.
    fn renew(&mut self) {
        let below = [&self.left, &self.right].into_iter().flatten().map(|node| &node.latest);
        if let Some(latest) = below.chain([&self.range.high]).max()
            && *latest != self.latest
        {
            self.latest = latest.clone();
        }
    }
}

/// What is before a range, and what is not.
fn split<T>(link: Link<T>, range: &Range) -> (Link<T>, Link<T>) {
    let Some(mut node) = link else { return (None, None) };
    if node.range < *range {
        let (left, right) = split(node.right.take(), range);
        node.right = left;
        node.renew();
        (Some(node), right)
    } else {
        let (left, right) = split(node.left.take(), range);
        node.left = right;
        node.renew();
        (left, Some(node))
    }
}

/// One tree of two, of which the first is before the second.
fn merge<T>(left: Link<T>, right: Link<T>) -> Link<T> {
    match (left, right) {
        (None, only) | (only, None) => only,
        (Some(mut left), Some(mut right)) => {
            if left.rank > right.rank {
                left.right = merge(left.right.take(), Some(right));
                left.renew();
                Some(left)
            } else {
                right.left = merge(Some(left), right.left.take());
                right.renew();
                Some(right)
            }
        }
    }
}

fn remove<T: PartialEq>(link: Link<T>, range: &Range, item: &T) -> Link<T> {
    let mut node = link?;
    match range.cmp(&node.range) {
        Ordering::Less => node.left = remove(node.left.take(), range, item),
        Ordering::Greater => node.right = remove(node.right.take(), range, item),
        Ordering::Equal => {
            node.leads_to.retain(|known| known != item);
            if node.leads_to.is_empty() {
                return merge(node.left.take(), node.right.take());
            }
        }
    }
    node.renew();
    Some(node)
}

fn containing<T>(mut link: Option<&Node<T>>, value: &Key, found: &mut impl FnMut(&T)) {
    while let Some(node) = link {
        if node.latest.is_before(value) {
            return;
        }
        containing(node.left.as_deref(), value, found);
        if !node.range.low.is_before(value) {
            return;
        }
        if !node.range.high.is_before(value) {
            node.leads_to.iter().for_each(&mut *found);
        }
        link = node.right.as_deref();
    }
}

fn all<T>(link: Option<&Node<T>>, found: &mut impl FnMut(&T)) {
    let Some(node) = link else { return };
    all(node.left.as_deref(), found);
    node.leads_to.iter().for_each(&mut *found);
    all(node.right.as_deref(), found);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn edge() -> impl Strategy<Value = Edge> {
        prop_oneof![
            1 => Just(Edge::Start),
            1 => Just(Edge::End),
            6 => (0..20_u8, any::<bool>()).prop_map(|(value, after)| Edge::At(Key::from_slice(&[value]), after)),
        ]
    }

    fn height<T>(link: Option<&Node<T>>) -> usize {
        link.map_or(0, |node| 1 + height(node.left.as_deref()).max(height(node.right.as_deref())))
    }

    proptest! {
        #[test]
        fn exactly_the_ranges_around_a_value_are_found(
            ranges in proptest::collection::vec((edge(), edge(), any::<bool>()), 0..60),
        ) {
            let mut intervals = Intervals::default();
            let ranges: Vec<(Range, bool)> =
                ranges.into_iter().map(|(low, high, stays)| (Range { low, high }, stays)).collect();
            for (item, (range, _)) in ranges.iter().enumerate() {
                intervals.insert(range.clone(), item);
            }
            for (item, (range, _)) in ranges.iter().enumerate().filter(|(_, (_, stays))| !stays) {
                intervals.remove(range, &item);
            }
            for value in 0..21 {
                let value = Key::from_slice(&[value]);
                let mut found = Vec::new();
                intervals.containing(&value, &mut |item| found.push(*item));
                found.sort_unstable();
                let within = |range: &Range| range.low.is_before(&value) && !range.high.is_before(&value);
                let around = ranges.iter().enumerate().filter(|(_, (range, stays))| *stays && within(range));
                prop_assert_eq!(found, around.map(|(item, _)| item).collect::<Vec<_>>());
            }
            for (item, (range, _)) in ranges.iter().enumerate() {
                intervals.remove(range, &item);
            }
            prop_assert!(intervals.is_empty());
        }
    }

    #[test]
    fn the_tree_stays_low_in_whatever_order_ranges_come() {
        let mut intervals = Intervals::default();
        for number in 0..10_000_u32 {
            let low = Edge::At(Key::from_slice(&number.to_be_bytes()), false);
            intervals.insert(Range { low, high: Edge::End }, number);
        }
        let height = height(intervals.root.as_deref());
        assert!(height < 64, "{height}");
    }
}
