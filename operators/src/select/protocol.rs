//! A worker's two parts in a stage, and the letters between them: no dataflow here.
//!
//! An epoch is: every member sends every owner its counts; an owner that has heard all of them asks
//! all members and hears all of them, as often as it must; every owner sends every member its cuts.
//! Where groups share a budget, every owner first sends the allocator its totals, and the allocator,
//! once it has heard all of them, sends every owner its limits.
//! Letters are counted, so no worker waits for more than it needs. A worker can be at most one step
//! ahead of another (to finish an epoch it needs the cuts of all owners, who need its counts), so
//! counts of the next epoch may come before the cuts of this one, but nothing else is out of order.

use std::collections::VecDeque;

use crate::draw::mix;
use crate::select::allocator::Allocator;
use crate::select::members::Members;
use crate::select::messages::{Body, Counts, Cut, Mail, Total};
use crate::select::mixture::Weights;
use crate::select::order::{Place, View};
use crate::select::owner::{Next, Owner};
use crate::select::rule::Rule;
use crate::select::{Stage, Summary};
use crate::{Change, DocumentHash, Record, Usage};

pub(crate) struct Worker<R, V> {
    members: Members<R, V>,
    owner: Owner,
    /// Where groups share a budget. Every worker has one, and that of [`ALLOCATING`] is in use.
    allocator: Option<Allocator>,
    index: u32,
    peers: u32,
    /// Members that the owner has heard in this step.
    heard: u32,
    /// Owners that the allocator has heard in this epoch.
    counted: u32,
    /// Owners that have told their cuts in this epoch.
    settled: u32,
    cuts: Vec<Cut>,
    summaries: Vec<Summary>,
    outbox: VecDeque<Mail>,
}

/// The worker whose allocator divides the budget.
pub(super) const ALLOCATING: u32 = 0;

impl<R: Record, V: Fn(&R, DocumentHash) -> View> Worker<R, V> {
    pub(crate) fn new(view: V, stage: Stage<impl Into<Rule>>, index: u32, peers: u32) -> Self {
        let rule = stage.quota.into();
        Worker {
            members: Members::new(view, rule.moving(), stage.guard),
            owner: Owner::new(rule, stage.guard),
            allocator: match rule {
                Rule::Alone(_) => None,
                Rule::Shared(budget, shares) => Some(Allocator::new(budget, shares)),
            },
            index,
            peers,
            heard: 0,
            counted: 0,
            settled: 0,
            cuts: Vec::new(),
            summaries: Vec::new(),
            outbox: VecDeque::new(),
        }
    }

    /// Takes in changes of the current epoch; not between its close and its end.
    pub(crate) fn apply(&mut self, changes: &[Change<R>]) {
        self.members.apply(changes);
    }

    /// Whether the current epoch has changed anything on this worker.
    pub(crate) fn is_touched(&self) -> bool {
        self.members.is_touched()
    }

    /// Takes in the weights from the current epoch on, before its close, if the allocator is here.
    pub(crate) fn weigh(&mut self, weights: &Weights) {
        let allocator = self.allocator.as_mut();
        let allocator = allocator.expect("only groups that share a budget are weighed");
        allocator.weigh(weights);
    }

    /// All changes of the epoch are here: tells the owners.
    pub(crate) fn close(&mut self) {
        let counts = self.members.counts();
        let mut parts = vec![Counts::default(); self.peers as usize];
        if let [only] = parts.as_mut_slice() {
            *only = counts;
        } else {
            for tally in counts.tallies {
                parts[owner(tally.group, self.peers)].tallies.push(tally);
            }
            for item in counts.items {
                parts[owner(item.group, self.peers)].items.push(item);
            }
        }
        for (to, part) in (0..).zip(parts) {
            self.send(to, Body::Counts(part));
        }
    }

    pub(crate) fn receive(&mut self, mail: Mail) {
        match mail.body {
            Body::Counts(counts) => {
                self.owner.count(&counts);
                if !self.hears_all() {
                    return;
                }
                if self.allocator.is_some() {
                    self.send(ALLOCATING, Body::Totals(self.owner.totals()));
                } else {
                    self.proceed();
                }
            }
            Body::Totals(totals) => self.allocate(&totals),
            Body::Limits(limits) => {
                self.owner.limit(&limits);
                self.proceed();
            }
            Body::Questions(questions) => {
                let replies = questions.iter().map(|q| self.members.reply(q)).collect();
                self.send(mail.from, Body::Replies(replies));
            }
            Body::Replies(replies) => {
                self.owner.hear(replies);
                if self.hears_all() {
                    self.proceed();
                }
            }
            Body::Cuts(cuts) => {
                self.cuts.extend(cuts);
                self.settled += 1;
            }
        }
    }

    /// Notes that the owner has heard a member; whether it was the last one in this step.
    fn hears_all(&mut self) -> bool {
        self.heard = (self.heard + 1) % self.peers;
        self.heard == 0
    }

    /// Takes in one owner's totals; once all owners are heard, divides the budget.
    fn allocate(&mut self, totals: &[Total]) {
        let allocator = self.allocator.as_mut();
        let allocator = allocator.expect("totals are sent where groups share a budget");
        allocator.count(totals);
        self.counted = (self.counted + 1) % self.peers;
        if self.counted > 0 {
            return;
        }
        let mut parts = vec![Vec::new(); self.peers as usize];
        for limit in allocator.limits() {
            parts[owner(limit.group, self.peers)].push(limit);
        }
        for (to, limits) in (0..).zip(parts) {
            self.send(to, Body::Limits(limits));
        }
    }

    /// Having heard all members, the owner speaks to all of them.
    fn proceed(&mut self) {
        let body = match self.owner.proceed() {
            Next::Ask(questions) => Body::Questions(questions),
            Next::Settled(cuts, summaries) => {
                self.summaries.extend(summaries);
                Body::Cuts(cuts)
            }
        };
        for to in 0..self.peers {
            self.send(to, body.clone());
        }
    }

    fn send(&mut self, to: u32, body: Body) {
        self.outbox.push_back(Mail {
            to,
            from: self.index,
            body,
        });
    }

    /// The next letter to deliver.
    pub(crate) fn letter(&mut self) -> Option<Mail> {
        self.outbox.pop_front()
    }

    /// Whether all owners have told this epoch's cuts.
    pub(crate) fn is_settled(&self) -> bool {
        self.settled == self.peers
    }

    /// Ends a settled epoch: gives the changes of the kept set.
    pub(crate) fn finish(&mut self, give: impl FnMut(Change<R>)) {
        self.settled = 0;
        let cuts = std::mem::take(&mut self.cuts);
        self.members.finish(&cuts, give);
    }

    /// The upper end of a group's band, which is where nothing is kept any more.
    pub(crate) fn upper_cut(&mut self, group: u64) -> Place {
        self.members.upper_cut(group)
    }

    /// The summaries of the epoch, of the groups owned here.
    pub(crate) fn summaries(&mut self) -> impl Iterator<Item = Summary> {
        self.summaries.drain(..)
    }
}

impl<R: Record, V: Fn(&R, DocumentHash) -> View> Usage for Worker<R, V> {
    fn live(&self) -> usize {
        self.members.live()
    }

    fn bytes(&self) -> usize {
        let allocator = self.allocator.as_ref().map_or(0, Allocator::bytes);
        self.members.bytes() + self.owner.bytes() + allocator
    }
}

/// The worker that owns a group: names may be small numbers in sequence, so they are mixed.
fn owner(group: u64, peers: u32) -> usize {
    (mix(group) % u64::from(peers)) as usize
}

#[cfg(test)]
mod tests {
    use super::Worker;
    use crate::select::mixture::{Budget, Shares};
    use crate::select::rule::Rule;
    use crate::select::{Band, Quota, Rate, Stage, View};
    use crate::{Change, DocumentHash};

    /// The letters of one worker alone in an epoch with one document.
    fn letters(rule: impl Into<Rule>) -> usize {
        let view = |key: &i64, _: DocumentHash| View {
            group: 1,
            key: *key,
            mass: 1,
        };
        let mut worker = Worker::new(view, Stage::new(rule, 0), 0, 1);
        worker.apply(&[Change {
            slot: 0,
            diff: 1,
            id: DocumentHash::default(),
            record: 7,
        }]);
        worker.close();
        let mut letters = 0;
        while let Some(letter) = worker.letter() {
            letters += 1;
            worker.receive(letter);
        }
        assert!(worker.is_settled());
        let mut kept = Vec::new();
        worker.finish(|change| kept.push(change.record));
        assert_eq!(kept, [7]);
        letters
    }

    #[test]
    fn only_a_shared_budget_takes_a_round_more() {
        let all = Quota {
            band: Band::Low,
            rate: Rate::ALL,
        };
        assert_eq!(letters(all), 2, "counts and cuts");
        let all = Rule::Shared(Budget::Share(Rate::ALL), Shares::Equal);
        assert_eq!(letters(all), 4, "and totals and limits");
    }
}
