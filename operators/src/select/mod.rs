//! Exact selection: of each group, the documents in a band of a total order.
//!
//! The kept documents of a group are an interval of the order (key, id). So an epoch's result is
//! two places, the *cuts*, and the work is to find them without looking at all documents, and then
//! to tell the few that are between a cut's old and new place.
//!
//! # Who knows what
//!
//! - *Members* (`members`, `bins`, `columns`), one on every worker, have the documents: a column by
//!   slot, and per group bins of slots that are unsorted inside. They count the mass of each bin.
//! - *Owners* (`owner`, `guard`, `narrow`), also one on every worker, each have some of the groups,
//!   by a hash of the name. An owner has the group's whole mass, and around each cut a *guard*: a
//!   span of the order in which it knows all workers' documents one by one, and the amount below.
//! - The *allocator* (`allocator`, `fill`), on one worker and only where groups share a budget, has
//!   every group's total and weight, and divides the budget.
//!
//! # An epoch
//!
//! 1. While changes come, a member writes columns, adds to one bin and to its log, and notes each
//!    change against the guards: below one as an amount, inside as an item, above as nothing.
//! 2. When the epoch is complete at its input, every member sends every owner one letter of
//!    *counts*.
//! 3. Where groups share a budget, every owner tells the allocator the totals of its groups that
//!    changed. With all of them in, and the epoch's weights, it divides the budget, and tells every
//!    owner the limits of its groups that are not as before. Otherwise an owner computes a band from
//!    its group's own mass, and no letter goes out here.
//! 4. With that at hand, an owner walks each cut along its guard's items to the new target. If it
//!    leaves the guard, a search begins: the owner asks *questions*; members answer with the marks
//!    of their bins, splitting only those near the cut; the owner narrows the span by about 30 a
//!    round, and at last fetches the documents of a new guard.
//! 5. Every owner sends every member its *cuts*. A member looks at the documents between old and
//!    new place, and at those that changed; a flag in the column says what was told before, so that
//!    each change is told once.
//! 6. Bins far from the cuts are merged again, up to an eighth of their distance.
//!
//! A guard has a 128th of the group, and 16 to 128 documents to each side, so most changes are only
//! counted, and a cut that moves on with the stream is searched for every few epochs.
//!
//! # Why it is exact, and stays live
//!
//! All is integers: the band's ends are computed from the whole mass, or from all groups' masses and
//! weights, and a cut is the first document not wholly before its end, over all workers. The place
//! of a cut depends on these alone, never on how it got there. Letters are counted, not awaited by
//! frontier: one from every member, one from every owner, in each step (`protocol`). So all workers
//! take part in every epoch, which is why epochs are consecutive. Letters go round a loop that the
//! outputs' frontiers do not depend on (`operator`).
//!
//! # It is not
//!
//! A sorted index: nothing far from a cut is ever sorted. Nor a sketch: what it keeps is what a
//! sort of everything would keep, and the tests compare the two after every epoch.

mod allocator;
mod bins;
pub(crate) mod columns;
mod epochs;
mod fill;
mod guard;
mod members;
pub(crate) mod messages;
mod mixture;
mod narrow;
mod numbers;
mod operator;
mod order;
mod owner;
pub(crate) mod protocol;
mod rule;

use serde::{Deserialize, Serialize};
use timely::dataflow::StreamVec;

use crate::{Change, DocumentHash, Record, Usage};
pub use mixture::{Budget, Weights, select_by_mixture, select_stratified};
pub use order::{Amount, Band, Place, Quota, Rate, View};
use rule::Rule;

/// How a stage selects.
#[derive(Clone, Copy, Debug)]
pub struct Stage<Q = Quota> {
    /// What is kept: a [`Quota`] of each group, or a [`Budget`] of all of them.
    pub quota: Q,
    /// The first epoch that the input can have.
    pub first_epoch: u64,
    /// How many documents at most the owner of a group knows one by one to each side of a cut.
    ///
    /// At least 1. This changes the speed and never the result.
    pub guard: usize,
    /// An epoch whose changes are not given, only its summaries: one whose result its reader has,
    /// as after a restart. Millions of changes would wait in memory only to be dropped.
    pub silent_epoch: Option<u64>,
}

impl<Q> Stage<Q> {
    /// A stage whose guards have the width that measured best.
    pub fn new(quota: Q, first_epoch: u64) -> Self {
        Stage {
            quota,
            first_epoch,
            guard: 128,
            silent_epoch: None,
        }
    }
}

/// What comes out of a stage.
pub struct Selected<'scope, R> {
    /// Every change of the kept set.
    pub kept: StreamVec<'scope, u64, Change<R>>,
    /// The state of every group that an epoch touched, at the worker that owns the group.
    pub summaries: StreamVec<'scope, u64, Summary>,
}

/// A group at the end of an epoch, over all workers; all zero when it has become empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Which group.
    pub group: u64,
    /// The stage's input.
    pub live: Amount,
    /// How much mass the band is wide: what is kept can be less, by the documents at its ends.
    pub quota: i64,
    /// What the stage keeps of it.
    pub kept: Amount,
    /// The first document not below the band's lower end; `None` if there is none, or if the end
    /// does not move because everything low is kept.
    pub low: Option<Place>,
    /// The first document not below the band's upper end; `None` if there is none, or if the end
    /// does not move because everything high is kept.
    pub high: Option<Place>,
}

/// The documents inside the band of their group, as changes, and each touched group's numbers.
///
/// In an epoch a document is removed at most once and added at most once, the removal first and
/// with the record that was added before, and never with equal records. Within an epoch the order
/// of different documents means nothing. What is kept is said by [`Quota`]; without documents,
/// nothing.
///
/// `changes` come from [`latest`](crate::latest()) or another `select` on the same workers. `view`
/// must be a pure function, and the same everywhere: what it says of a document may be asked often
/// and late. For a random sample, let the key be [`draw`](crate::draw()) of the id.
///
/// Epochs are consecutive from `stage.first_epoch` on; the [crate's documentation](crate) says what
/// the caller must do. `report` hears of every epoch when it is complete on this worker.
///
/// # Panics
/// On changes before the first epoch, and on a group's mass beyond 63 bits.
pub fn select<'scope, R: Record>(
    changes: StreamVec<'scope, u64, Change<R>>,
    stage: Stage,
    view: impl Fn(&R, DocumentHash) -> View + 'static,
    report: impl FnMut(u64, &dyn Usage) + 'static,
) -> Selected<'scope, R> {
    operator::build(changes, None, stage.ruled(stage.quota), view, report)
}
