//! Exact selection: of each group, the documents in a band of a total order.

mod bins;
mod columns;
mod guard;
mod members;
mod messages;
mod narrow;
mod numbers;
mod operator;
mod order;
mod owner;
mod protocol;

use serde::{Deserialize, Serialize};
use timely::dataflow::StreamVec;

use crate::{Change, DocumentHash, Record, Usage};
pub use order::{Amount, Band, Place, Quota, Rate, View};

/// How a stage selects.
#[derive(Clone, Copy, Debug)]
pub struct Stage {
    /// What is kept of each group.
    pub quota: Quota,
    /// The first epoch that the input can have.
    pub first_epoch: u64,
    /// How many documents at most the owner of a group knows one by one to each side of a cut.
    ///
    /// This changes the speed and never the result.
    pub guard: usize,
}

impl Stage {
    /// A stage whose guards have the width that measured best.
    pub fn new(quota: Quota, first_epoch: u64) -> Self {
        Stage {
            quota,
            first_epoch,
            guard: 128,
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
    /// What the stage keeps of it.
    pub kept: Amount,
    /// The first document not below the band's lower end; `None` if there is none, or if the end
    /// does not move because everything low is kept.
    pub low: Option<Place>,
    /// The first document not below the band's upper end; `None` if there is none, or if the end
    /// does not move because everything high is kept.
    pub high: Option<Place>,
}

/// The documents that are inside the band of their group, as changes.
pub fn select<'scope, R: Record>(
    changes: StreamVec<'scope, u64, Change<R>>,
    stage: Stage,
    view: impl Fn(&R, DocumentHash) -> View + 'static,
    report: impl FnMut(u64, &dyn Usage) + 'static,
) -> Selected<'scope, R> {
    operator::build(changes, stage, view, report)
}
