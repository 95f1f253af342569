//! One place of a result's read-set, in the form in which changes are held against it.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use super::row;
use crate::graphql::catalog::Oid;
use crate::graphql::plan::Comparison;
use crate::graphql::read_set::{Extent, Predicate, Values, Watch};

/// A [`Watch`] with its rows by where they are looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Watching {
    pub(super) table: Oid,
    pub(super) key: Vec<String>,
    pub(super) rows: HashSet<Arc<str>>,
    pub(super) columns: Option<BTreeSet<String>>,
    /// Rows that belong have these values in these columns.
    pub(super) bound: Option<(Vec<String>, HashSet<Arc<str>>)>,
    pub(super) conditions: Vec<Predicate>,
    pub(super) closed: bool,
    pub(super) extent: Extent,
    /// The columns of bound and conditions: they say whether a row belongs.
    pub(super) deciding: BTreeSet<String>,
}

impl Watching {
    pub(super) fn of(watch: Watch) -> Self {
        let places =
            |values: &BTreeSet<Values>| values.iter().filter_map(row::place).map(Arc::from).collect();
        let members = watch.members;
        let mut deciding = BTreeSet::new();
        columns(&members.conditions, &mut deciding);
        let bound = match &members.bound {
            Some((columns, values)) => Some((columns.clone(), places(values))),
            None => members.conditions.iter().find_map(equality),
        };
        deciding.extend(bound.iter().flat_map(|(columns, _)| columns.iter().cloned()));
        Self {
            table: watch.table,
            rows: places(&watch.rows),
            key: watch.key,
            columns: watch.columns,
            bound,
            conditions: members.conditions,
            closed: members.closed,
            extent: watch.extent,
            deciding,
        }
    }
}

/// A condition that binds a column to a value, of a type whose texts from clients are understood: integers, texts, `uuid`.
fn equality(predicate: &Predicate) -> Option<(Vec<String>, HashSet<Arc<str>>)> {
    match predicate {
        Predicate::And(all) => all.iter().find_map(equality),
        Predicate::Compare(column, 20 | 21 | 23 | 25 | 1043 | 2950, Comparison::Eq, Some(value)) => {
            let place = row::place(&vec![Some(value.clone())])?;
            Some((vec![column.clone()], HashSet::from([place.into()])))
        }
        _ => None,
    }
}

fn columns(predicates: &[Predicate], out: &mut BTreeSet<String>) {
    for predicate in predicates {
        match predicate {
            Predicate::And(all) | Predicate::Or(all) => columns(all, out),
            Predicate::Not(one) => columns(std::slice::from_ref(one), out),
            Predicate::Null(column, _) | Predicate::Compare(column, ..) => {
                out.insert(column.clone());
            }
            Predicate::Elsewhere => {}
        }
    }
}
