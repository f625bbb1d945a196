//! The dataflow operator around the protocol: epochs, capabilities and the letters' loop.
//!
//! As in `select`, letters go round a loop that the outputs' frontiers do not depend on, and a
//! capability held for the epoch pays for them. Here there are two inputs, and an epoch is complete
//! when it is in both.

use std::collections::{BTreeMap, VecDeque};

use timely::ExchangeData;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::operators::{ConnectLoop, Feedback};
use timely::progress::operate::FrontierInterest;

use crate::density::messages::Mail;
use crate::density::protocol::Worker;
use crate::density::{Drawn, Sampled, Sampling, Summary};
use crate::{Change, DocumentHash, Record, Usage};

type Output<T> = OutputBuilder<u64, CapacityContainerBuilder<Vec<T>>>;

pub(super) fn build<'scope, L: ExchangeData, R: Record>(
    live: StreamVec<'scope, u64, Change<L>>,
    survivors: StreamVec<'scope, u64, Change<R>>,
    sampling: Sampling,
    codes: impl Fn(&L, DocumentHash, &mut [u16]) + 'static,
    mut report: impl FnMut(u64, &dyn Usage) + 'static,
) -> Sampled<'scope, R> {
    let scope = live.scope();
    let (handle, mail) = scope.feedback::<Vec<Mail>>(1);
    let mut builder = OperatorBuilder::new("Density".to_owned(), scope);
    let (kept, kept_stream) = builder.new_output::<Vec<Change<Drawn<R>>>>();
    let (summaries, summaries_stream) = builder.new_output::<Vec<Summary>>();
    let (letters, letters_stream) = builder.new_output::<Vec<Mail>>();
    let mut kept = Output::<Change<Drawn<R>>>::from(kept);
    let mut summaries = Output::<Summary>::from(summaries);
    let mut letters = Output::<Mail>::from(letters);
    let mut live = builder.new_input(live, Pipeline);
    let mut survivors = builder.new_input(survivors, Pipeline);
    let exchange = Exchange::new(|mail: &Mail| u64::from(mail.to));
    let mut mail = builder.new_input_connection(mail, exchange, []);
    builder.set_notify_for(2, FrontierInterest::Never);

    let mut epochs = Epochs::new(sampling, codes, scope.index() as u32, scope.peers() as u32);
    builder.build(move |mut capabilities| {
        for capability in &mut capabilities {
            capability.downgrade(&sampling.first_epoch);
        }
        let mut held = Some(capabilities);
        move |frontiers| {
            let (mut kept, mut letters) = (kept.activate(), letters.activate());
            let mut summaries = summaries.activate();
            let current = held.as_ref().map(|held| *held[0].time());
            live.for_each(|stamp, data| {
                let epoch = *stamp.least().expect("a message has a time");
                epochs.take(epoch, current, Part::Live(std::mem::take(data)));
            });
            survivors.for_each(|stamp, data| {
                let epoch = *stamp.least().expect("a message has a time");
                epochs.take(epoch, current, Part::Survivors(std::mem::take(data)));
            });
            mail.for_each(|_, data| epochs.inbox.extend(data.drain(..)));
            while let Some(capabilities) = &mut held {
                let [for_kept, for_summaries, for_letters] = capabilities.as_mut_slice() else {
                    unreachable!("one capability an output");
                };
                let mut post = letters.session(for_letters);
                epochs.deliver(|letter| post.give(letter));
                drop(post);
                let epoch = *for_kept.time();
                let inputs = &frontiers[..2];
                let passed = inputs.iter().all(|input| !input.less_equal(&epoch));
                let ended = inputs.iter().all(|input| input.frontier().is_empty());
                match epochs.step(passed, ended) {
                    Step::Wait => break,
                    Step::Close => {}
                    Step::End => held = None,
                    Step::Finish => {
                        let summary = if sampling.silent_epoch == Some(epoch) {
                            epochs.worker.finish(|_| ())
                        } else {
                            let mut session = kept.session(for_kept);
                            epochs.worker.finish(|change| session.give(change))
                        };
                        summaries.session(for_summaries).give(summary);
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
    Sampled {
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

/// Data of one of the inputs.
enum Part<L, R> {
    Live(Vec<Change<L>>),
    Survivors(Vec<Change<R>>),
}

/// A worker's part in the operator, epoch after epoch.
struct Epochs<L, R, C> {
    worker: Worker<R, C>,
    index: u32,
    /// Data of epochs to come.
    later: BTreeMap<u64, Vec<Part<L, R>>>,
    inbox: VecDeque<Mail>,
    /// Between telling the codes of an epoch and knowing its cut.
    closed: bool,
}

impl<L, R: Record, C: Fn(&L, DocumentHash, &mut [u16])> Epochs<L, R, C> {
    fn new(sampling: Sampling, codes: C, index: u32, peers: u32) -> Self {
        Epochs {
            worker: Worker::new(sampling, codes, index, peers),
            index,
            later: BTreeMap::new(),
            inbox: VecDeque::new(),
            closed: false,
        }
    }

    /// Takes in data: works on those of the current epoch at once, while it is open.
    fn take(&mut self, epoch: u64, current: Option<u64>, part: Part<L, R>) {
        assert!(
            Some(epoch) >= current,
            "epoch {epoch} comes before the first, {current:?}"
        );
        if Some(epoch) == current && !self.closed {
            self.apply(&part);
        } else {
            self.later.entry(epoch).or_default().push(part);
        }
    }

    fn apply(&mut self, part: &Part<L, R>) {
        match part {
            Part::Live(changes) => self.worker.apply_live(changes),
            Part::Survivors(changes) => self.worker.apply_survivors(changes),
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

    /// The next step, given whether the inputs are past the current epoch, and at their ends.
    fn step(&mut self, passed: bool, ended: bool) -> Step {
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
        if ended && self.later.is_empty() && !self.worker.is_changed() {
            return Step::End;
        }
        self.worker.close();
        self.closed = true;
        Step::Close
    }

    /// Begins the next epoch with the data that came before it.
    fn begin(&mut self, epoch: u64) {
        self.closed = false;
        for part in self.later.remove(&epoch).unwrap_or_default() {
            self.apply(&part);
        }
    }
}
