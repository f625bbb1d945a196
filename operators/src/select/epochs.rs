//! A worker's part in a stage, epoch after epoch: what came for which epoch, and what is next.

use std::collections::{BTreeMap, VecDeque};

use crate::select::Stage;
use crate::select::messages::Mail;
use crate::select::mixture::Weights;
use crate::select::order::View;
use crate::select::protocol::Worker;
use crate::select::rule::Rule;
use crate::{Change, DocumentHash, Record};

/// What is to be done next.
pub(super) enum Step {
    /// Nothing, until data, letters or frontiers come.
    Wait,
    /// The current epoch's letters are to be sent.
    Close,
    /// The current epoch's result is to be given.
    Finish,
    /// Nothing, ever.
    End,
}

pub(super) struct Epochs<R, V> {
    pub worker: Worker<R, V>,
    index: u32,
    /// Data of epochs to come.
    later: BTreeMap<u64, Vec<Vec<Change<R>>>>,
    /// The last weights of this epoch, and of those to come.
    weights: BTreeMap<u64, Weights>,
    pub inbox: VecDeque<Mail>,
    /// Between telling the counts of an epoch and knowing its cuts.
    closed: bool,
}

impl<R: Record, V: Fn(&R, DocumentHash) -> View> Epochs<R, V> {
    pub(super) fn new(view: V, stage: Stage<Rule>, index: u32, peers: u32) -> Self {
        Epochs {
            worker: Worker::new(view, stage, index, peers),
            index,
            later: BTreeMap::new(),
            weights: BTreeMap::new(),
            inbox: VecDeque::new(),
            closed: false,
        }
    }

    /// Takes in data: works on those of the current epoch at once, while it is open.
    pub(super) fn take(&mut self, epoch: u64, current: Option<u64>, data: &mut Vec<Change<R>>) {
        check(epoch, current);
        if Some(epoch) == current && !self.closed {
            self.worker.apply(data);
            data.clear();
        } else {
            self.later
                .entry(epoch)
                .or_default()
                .push(std::mem::take(data));
        }
    }

    /// Takes in weights, of which the last of an epoch are those that count.
    pub(super) fn weigh(&mut self, epoch: u64, current: Option<u64>, data: &mut Vec<Weights>) {
        check(epoch, current);
        if let Some(last) = data.pop() {
            self.weights.insert(epoch, last);
        }
    }

    /// Takes in the letters that are here, also before this worker's epoch is closed, and sends
    /// what they call for, until nothing is left to do.
    pub(super) fn deliver(&mut self, mut post: impl FnMut(Mail)) {
        loop {
            while let Some(letter) = self.worker.letter() {
                if letter.to == self.index {
                    self.inbox.push_back(letter);
                } else {
                    post(letter);
                }
            }
            let Some(letter) = self.inbox.pop_front() else {
                break;
            };
            self.worker.receive(letter);
        }
    }

    /// The next step, given whether all input is past the current epoch, and at its end.
    pub(super) fn step(&mut self, epoch: u64, passed: bool, ended: bool) -> Step {
        if self.closed {
            return if self.worker.is_settled() {
                Step::Finish
            } else {
                Step::Wait
            };
        }
        if !passed {
            return Step::Wait;
        }
        let empty = self.later.is_empty() && self.weights.is_empty();
        if ended && empty && !self.worker.is_touched() {
            return Step::End;
        }
        if let Some(weights) = self.weights.remove(&epoch) {
            self.worker.weigh(&weights);
        }
        self.worker.close();
        self.closed = true;
        Step::Close
    }

    /// Begins the next epoch with the data that came before it.
    pub(super) fn begin(&mut self, epoch: u64) {
        self.closed = false;
        for data in self.later.remove(&epoch).unwrap_or_default() {
            self.worker.apply(&data);
        }
    }
}

fn check(epoch: u64, current: Option<u64>) {
    assert!(
        Some(epoch) >= current,
        "epoch {epoch} comes before the first, {current:?}"
    );
}
