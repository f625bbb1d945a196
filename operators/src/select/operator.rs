//! The dataflow operator around a stage's protocol: epochs, capabilities and the letters' loop.
//!
//! Letters go round a loop whose input has no connection to the outputs, so that the outputs'
//! frontiers do not wait for it; a capability held for the epoch pays for both. Letters to oneself
//! do not enter it, so one worker alone never waits for the dataflow.

use std::collections::{BTreeMap, VecDeque};

use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::operators::{ConnectLoop, Feedback};
use timely::progress::operate::FrontierInterest;

use crate::select::messages::Mail;
use crate::select::mixture::Weights;
use crate::select::order::View;
use crate::select::protocol::{ALLOCATING, Worker};
use crate::select::rule::Rule;
use crate::select::{Selected, Stage, Summary};
use crate::{Change, DocumentHash, Record, Usage};

type Output<T> = OutputBuilder<u64, CapacityContainerBuilder<Vec<T>>>;

pub(super) fn build<'scope, R: Record>(
    changes: StreamVec<'scope, u64, Change<R>>,
    weights: Option<StreamVec<'scope, u64, Weights>>,
    stage: Stage<Rule>,
    view: impl Fn(&R, DocumentHash) -> View + 'static,
    mut report: impl FnMut(u64, &dyn Usage) + 'static,
) -> Selected<'scope, R> {
    let scope = changes.scope();
    let (handle, mail) = scope.feedback::<Vec<Mail>>(1);
    let mut builder = OperatorBuilder::new("Select".to_owned(), scope);
    let (kept, kept_stream) = builder.new_output::<Vec<Change<R>>>();
    let (summaries, summaries_stream) = builder.new_output::<Vec<Summary>>();
    let (letters, letters_stream) = builder.new_output::<Vec<Mail>>();
    let mut kept = Output::<Change<R>>::from(kept);
    let mut summaries = Output::<Summary>::from(summaries);
    let mut letters = Output::<Mail>::from(letters);
    let mut input = builder.new_input(changes, Pipeline);
    let exchange = Exchange::new(|mail: &Mail| u64::from(mail.to));
    let mut mail = builder.new_input_connection(mail, exchange, []);
    builder.set_notify_for(1, FrontierInterest::Never);
    let to_allocator = Exchange::new(|_: &Weights| u64::from(ALLOCATING));
    let mut weights = weights.map(|weights| builder.new_input(weights, to_allocator));

    let mut epochs = Epochs::new(view, stage, scope.index() as u32, scope.peers() as u32);
    builder.build(move |mut capabilities| {
        for capability in &mut capabilities {
            capability.downgrade(&stage.first_epoch);
        }
        let mut held = Some(capabilities);
        move |frontiers| {
            let (mut kept, mut letters) = (kept.activate(), letters.activate());
            let mut summaries = summaries.activate();
            let current = held.as_ref().map(|held| *held[0].time());
            input.for_each(|stamp, data| {
                epochs.take(*stamp.least().expect("a message has a time"), current, data);
            });
            if let Some(weights) = &mut weights {
                weights.for_each(|stamp, data| {
                    let epoch = *stamp.least().expect("a message has a time");
                    epochs.weigh(epoch, current, data);
                });
            }
            mail.for_each(|_, data| epochs.inbox.extend(data.drain(..)));
            // Letters come while there are capabilities: only changes and weights have an end.
            let awaited = || {
                frontiers
                    .iter()
                    .enumerate()
                    .filter(|(input, _)| *input != 1)
            };
            while let Some(capabilities) = &mut held {
                let [for_kept, for_summaries, for_letters] = capabilities.as_mut_slice() else {
                    unreachable!("one capability an output");
                };
                let mut post = letters.session(for_letters);
                epochs.deliver(|letter| post.give(letter));
                drop(post);
                let epoch = *for_kept.time();
                let passed = awaited().all(|(_, of)| !of.less_equal(&epoch));
                let ended = awaited().all(|(_, of)| of.frontier().is_empty());
                match epochs.step(epoch, passed, ended) {
                    Step::Wait => break,
                    Step::Close => {}
                    Step::End => held = None,
                    Step::Finish => {
                        if stage.silent_epoch == Some(epoch) {
                            epochs.worker.finish(|_| ());
                        } else {
                            let mut session = kept.session(for_kept);
                            epochs.worker.finish(|change| session.give(change));
                        }
                        let mut session = summaries.session(for_summaries);
                        session.give_iterator(epochs.worker.summaries());
                        drop(session);
                        report(epoch, &epochs.worker);
                        capabilities
                            .iter_mut()
                            .for_each(|held| held.downgrade(&(epoch + 1)));
                        epochs.begin(epoch + 1);
                    }
                }
            }
        }
    });
    letters_stream.connect_loop(handle);
    Selected {
        kept: kept_stream,
        summaries: summaries_stream,
    }
}

/// What is to be done next.
enum Step {
    /// Nothing, until data, letters or frontiers come.
    Wait,
    /// The current epoch's letters are to be sent.
    Close,
    /// The current epoch's result is to be given.
    Finish,
    /// Nothing, ever.
    End,
}

/// A worker's part in a stage, epoch after epoch.
struct Epochs<R, V> {
    worker: Worker<R, V>,
    index: u32,
    /// Data of epochs to come.
    later: BTreeMap<u64, Vec<Vec<Change<R>>>>,
    /// The last weights of this epoch, and of those to come.
    weights: BTreeMap<u64, Weights>,
    inbox: VecDeque<Mail>,
    /// Between telling the counts of an epoch and knowing its cuts.
    closed: bool,
}

impl<R: Record, V: Fn(&R, DocumentHash) -> View> Epochs<R, V> {
    fn new(view: V, stage: Stage<Rule>, index: u32, peers: u32) -> Self {
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
    fn take(&mut self, epoch: u64, current: Option<u64>, data: &mut Vec<Change<R>>) {
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
    fn weigh(&mut self, epoch: u64, current: Option<u64>, data: &mut Vec<Weights>) {
        check(epoch, current);
        if let Some(last) = data.pop() {
            self.weights.insert(epoch, last);
        }
    }

    /// Takes in the letters that are here, also before this worker's epoch is closed, and sends
    /// what they call for, until nothing is left to do.
    fn deliver(&mut self, mut post: impl FnMut(Mail)) {
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
    fn step(&mut self, epoch: u64, passed: bool, ended: bool) -> Step {
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
    fn begin(&mut self, epoch: u64) {
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
