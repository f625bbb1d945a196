//! What decides how much of a group is kept: its own mass, or all groups' masses together.

use crate::select::Stage;
use crate::select::mixture::{Budget, Shares};
use crate::select::order::Quota;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Rule {
    /// The group's own mass.
    Alone(Quota),
    /// Its part of a budget: the low end of the order, up to the limit that the allocator tells.
    Shared(Budget, Shares),
}

impl Rule {
    /// Whether the lower and the upper end of a band are cuts that move with the documents.
    pub(crate) fn moving(self) -> [bool; 2] {
        match self {
            Rule::Alone(quota) => quota.moving(),
            Rule::Shared(..) => [false, true],
        }
    }
}

impl From<Quota> for Rule {
    fn from(quota: Quota) -> Self {
        Rule::Alone(quota)
    }
}

impl<Q> Stage<Q> {
    /// The same stage under a rule.
    pub(crate) fn ruled(self, rule: impl Into<Rule>) -> Stage<Rule> {
        Stage {
            quota: rule.into(),
            first_epoch: self.first_epoch,
            guard: self.guard,
            silent_epoch: self.silent_epoch,
        }
    }
}
