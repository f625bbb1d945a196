//! Selection of groups that share one budget, by weights that change while it runs.
//!
//! One round of letters more than [`select`](crate::select()) takes: owners tell an *allocator*
//! their groups' totals, and it answers with limits (`allocator`, `fill`). From there on a group is
//! one like any other, with the low end of its order kept.

use serde::{Deserialize, Serialize};
use timely::dataflow::StreamVec;

use crate::select::operator;
use crate::select::order::Rate;
use crate::select::{Rule, Selected, Stage, View};
use crate::{Change, DocumentHash, Record, Usage};

/// How much all groups of a stage may keep together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Budget {
    /// A share of the mass of all documents that come in, also of those in groups without weight;
    /// rounded down.
    Share(Rate),
    /// This mass.
    Mass(u64),
}

impl Budget {
    /// The mass to divide, where that of all documents is `total`.
    pub(super) fn of(self, total: i64) -> i64 {
        match self {
            Budget::Share(rate) => rate.of(total),
            // More than everything is everything.
            Budget::Mass(mass) => i64::try_from(mass).map_or(total, |mass| mass.min(total)),
        }
    }
}

/// Where the weights of groups come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shares {
    /// The last set that came.
    Weighted,
    /// Every group that has documents weighs the same.
    Equal,
}

/// What each group weighs when a budget is divided: a mixture.
///
/// Only proportions count; parts per billion that add up to 10⁹ are the custom. A group that is not
/// named weighs nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weights(Vec<(u64, u64)>);

impl Weights {
    /// A set of weights by group; those of a group named more than once add up.
    pub fn new(groups: impl IntoIterator<Item = (u64, u32)>) -> Self {
        let wide = |(group, weight)| (group, u64::from(weight));
        let mut groups: Vec<(u64, u64)> = groups.into_iter().map(wide).collect();
        groups.sort_unstable();
        groups.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            kept.1 += if same { next.1 } else { 0 };
            same
        });
        Weights(groups)
    }

    /// The groups and their weights, each group once, ascending.
    pub fn groups(&self) -> &[(u64, u64)] {
        &self.0
    }
}

/// The documents that fit in their group's part of one budget, as changes, and each group's
/// numbers.
///
/// With a budget B, weights w, and of each group the mass m of its documents:
///
/// - The budget is divided by *water-filling*. A group is *full* if its part would be its whole mass
///   or more; then its part is m, and what it leaves goes to the others by their weights, until
///   nothing moves. With R the budget without the full groups' masses and W the weight of the
///   others, the part of one that is not full is ⌊w·R/W⌋: ⌊w·B/W⌋ if none is full. The rounding
///   leaves less than one unit of mass a group, which nobody gets.
/// - Of its order (key, id) a group keeps the longest prefix whose mass is at most its part. So with
///   a mass of 1 each exactly its part is kept; else the document at the end does not fit, and what
///   is left before it goes to nobody.
/// - Groups without weight keep nothing, and before the first weights come, no group keeps anything.
///   Groups without documents take no part.
///
/// What is kept is a function of the live documents and the weights in force alone. Of the weights
/// that come for one epoch the last are in force, from that epoch on, until others come. They all
/// come from one worker, and may come in an epoch without documents. `weights` advances through the
/// epochs as `changes` do, and an epoch is complete when both are past it; a stream that has ended
/// leaves its last weights in force.
///
/// A [`Summary`](crate::Summary) is given for every group that an epoch touched and for every one
/// whose part changed: with a [`Budget::Share`], nearly all that have a weight. An epoch costs what
/// it does in [`select`](crate::select()), a few dozen nanoseconds for each group, and one more
/// round of letters.
///
/// What `changes`, `view` and `report` are, and how changes are told, is said at
/// [`select`](crate::select()).
///
/// ```
/// use std::sync::mpsc;
///
/// use riffle_operators::{Budget, Change, DocumentHash, Stage, View, Weights, select_by_mixture};
/// use timely::dataflow::InputHandle;
/// use timely::dataflow::operators::{Inspect, Probe};
///
/// let (sender, told) = mpsc::channel();
/// timely::execute_directly(move |worker| {
///     let (mut documents, mut mixture) = (InputHandle::new(), InputHandle::new());
///     let probe = worker.dataflow::<u64, _, _>(|scope| {
///         let changes = documents.to_stream(scope);
///         let weights = mixture.to_stream(scope);
///         let stage = Stage::new(Budget::Mass(4), 0);
///         // The record is the group, and documents are kept in the order of their ids.
///         let by_group = |group: &u64, _id| View { group: *group, key: 0, mass: 1 };
///         let selected = select_by_mixture(changes, weights, stage, by_group, |_epoch, _usage| {});
///         selected.summaries.inspect(move |s| sender.send((s.group, s.kept.mass)).unwrap()).probe().0
///     });
///
///     // Three documents of the group 100 and five of the group 200, by three to one.
///     for (slot, group) in (0..8).zip([100, 100, 100, 200, 200, 200, 200, 200]) {
///         let id = DocumentHash::from_bytes([slot as u8; 16]);
///         documents.send(Change { slot, diff: 1, id, record: group });
///     }
///     mixture.send(Weights::new([(100, 750_000_000), (200, 250_000_000)]));
///     // Then the other way round, without any document.
///     documents.advance_to(2);
///     mixture.advance_to(1);
///     mixture.send(Weights::new([(100, 125_000_000), (200, 875_000_000)]));
///     mixture.advance_to(2);
///     worker.step_while(|| probe.less_than(&2));
/// });
///
/// let mut told: Vec<(u64, i64)> = told.iter().collect();
/// told[..2].sort();
/// told[2..].sort();
/// assert_eq!(told, [(100, 3), (200, 1), (100, 0), (200, 3)]);
/// ```
///
/// # Panics
/// On changes or weights before the first epoch, and on a mass of all groups together beyond 63
/// bits.
pub fn select_by_mixture<'scope, R: Record>(
    changes: StreamVec<'scope, u64, Change<R>>,
    weights: StreamVec<'scope, u64, Weights>,
    stage: Stage<Budget>,
    view: impl Fn(&R, DocumentHash) -> View + 'static,
    report: impl FnMut(u64, &dyn Usage) + 'static,
) -> Selected<'scope, R> {
    let stage = stage.ruled(Rule::Shared(stage.quota, Shares::Weighted));
    operator::build(changes, Some(weights), stage, view, report)
}

/// The same with equal weights for all groups that have documents: a stratified sample.
///
/// A group that appears or vanishes changes the parts of all others in the same epoch.
///
/// # Panics
/// As [`select_by_mixture`].
pub fn select_stratified<'scope, R: Record>(
    changes: StreamVec<'scope, u64, Change<R>>,
    stage: Stage<Budget>,
    view: impl Fn(&R, DocumentHash) -> View + 'static,
    report: impl FnMut(u64, &dyn Usage) + 'static,
) -> Selected<'scope, R> {
    let stage = stage.ruled(Rule::Shared(stage.quota, Shares::Equal));
    operator::build(changes, None, stage, view, report)
}

#[cfg(test)]
mod tests {
    use super::{Budget, Weights};
    use crate::Rate;

    #[test]
    fn a_budget_is_the_floor_of_its_share_and_not_more_than_all() {
        let half = Budget::Share(Rate::from_ppm(500_000).unwrap());
        assert_eq!(
            [0, 7, i64::MAX].map(|total| half.of(total)),
            [0, 3, i64::MAX / 2]
        );
        assert_eq!([0, 7, 9].map(|total| Budget::Mass(8).of(total)), [0, 7, 8]);
        assert_eq!(Budget::Mass(u64::MAX).of(i64::MAX), i64::MAX);
    }

    #[test]
    fn weights_of_one_group_add_up() {
        let weights = Weights::new([(9, 1), (3, u32::MAX), (9, 0), (3, u32::MAX), (3, 2)]);
        assert_eq!(weights.groups(), [(3, 1 << 33), (9, 1)]);
        assert_eq!(Weights::new([]), Weights::default());
    }
}
