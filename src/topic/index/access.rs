//! Where a filter is found: values of columns without which its condition cannot be true.

use super::intervals::{Edge, Range};
use crate::change::compare::{Key, Kind};
use crate::topic::condition::{Condition, Test};
use crate::topic::filter::Comparison;

/// One of the values that lead to a filter.
#[derive(Debug)]
pub(super) struct Access<'a> {
    /// The column's place in the filter's list.
    pub(super) column: usize,
    /// How its values compare.
    pub(super) kind: &'a Kind,
    /// What they must be.
    pub(super) wanted: Wanted<'a>,
}

#[derive(Debug)]
pub(super) enum Wanted<'a> {
    /// Equal to this.
    Key(&'a Key),
    /// Within this.
    Range(Range),
}

/// The accesses of a condition: it is true of no row that has none of these values. `None` if there are no
/// such values.
pub(super) fn of(condition: &Condition) -> Option<Vec<Access<'_>>> {
    match condition {
        Condition::All(conditions) => {
            let mut best: Option<Vec<Access<'_>>> = None;
            for accesses in conditions.iter().filter_map(of) {
                best = Some(match best {
                    None => accesses,
                    Some(best) => better(best, accesses),
                });
            }
            best
        }
        // One of them must be true, and so lead here.
        Condition::Any(conditions) => {
            let mut all = Vec::new();
            for condition in conditions {
                all.extend(of(condition)?);
            }
            Some(all)
        }
        Condition::Not(_) => None,
        Condition::Test { column, test } => by_test(*column, test),
    }
}

fn by_test(column: usize, test: &Test) -> Option<Vec<Access<'_>>> {
    match test {
        Test::Compare(kind, comparison, operand) => {
            let range = |low, high| Some(Wanted::Range(Range { low, high }));
            let edge = |after| Edge::At(operand.key.clone(), after);
            let wanted = match comparison {
                Comparison::Eq => Some(Wanted::Key(&operand.key)),
                Comparison::Lt => range(Edge::Start, edge(false)),
                Comparison::Lte => range(Edge::Start, edge(true)),
                Comparison::Gt => range(edge(true), Edge::End),
                Comparison::Gte => range(edge(false), Edge::End),
                Comparison::Neq | Comparison::Distinct => None,
            };
            wanted.map(|wanted| vec![Access { column, kind, wanted }])
        }
        Test::Among(kind, operands) => Some(
            operands
                .iter()
                .map(|operand| Access { column, kind, wanted: Wanted::Key(&operand.key) })
                .collect(),
        ),
        Test::Is(_) | Test::Matches(..) => None,
    }
}

/// Of two ways to a filter, both of which every row of its goes, the one that fewer others go. Two ranges of
/// one column are one.
fn better<'a>(mut one: Vec<Access<'a>>, mut two: Vec<Access<'a>>) -> Vec<Access<'a>> {
    if let ([first], [second]) = (one.as_mut_slice(), two.as_mut_slice())
        && (first.column, first.kind) == (second.column, second.kind)
        && let (Wanted::Range(first), Wanted::Range(second)) = (&mut first.wanted, &mut second.wanted)
    {
        first.low = std::mem::replace(&mut first.low, Edge::Start)
            .max(std::mem::replace(&mut second.low, Edge::Start));
        first.high =
            std::mem::replace(&mut first.high, Edge::End).min(std::mem::replace(&mut second.high, Edge::End));
        return one;
    }
    let cost = |accesses: &[Access<'_>]| {
        let ranges = accesses.iter().filter(|access| matches!(access.wanted, Wanted::Range(_))).count();
        (ranges, accesses.len())
    };
    if cost(&two) < cost(&one) { two } else { one }
}
