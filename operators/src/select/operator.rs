//! The dataflow operator around a stage's protocol: epochs, capabilities and the letters' loop.
//!
//! Letters go round a loop whose input has no connection to the outputs, so that the outputs'
//! frontiers do not wait for it; a capability held for the epoch pays for both. Letters to oneself
//! do not enter it, so one worker alone never waits for the dataflow.

use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::operators::{Capability, ConnectLoop, Feedback};
use timely::progress::frontier::MutableAntichain;
use timely::progress::operate::FrontierInterest;

use crate::select::epochs::{Epochs, Step};
use crate::select::messages::Mail;
use crate::select::mixture::Weights;
use crate::select::order::View;
use crate::select::protocol::ALLOCATING;
use crate::select::rule::Rule;
use crate::select::{Selected, Stage, Summary};
use crate::{Change, DocumentHash, Record, Usage};

type Output<T> = OutputBuilder<u64, CapacityContainerBuilder<Vec<T>>>;

/// The input of letters: the only one without an end of its own.
const MAIL: usize = 1;

pub(super) fn build<'scope, R: Record>(
    changes: StreamVec<'scope, u64, Change<R>>,
    weights: Option<StreamVec<'scope, u64, Weights>>,
    stage: Stage<Rule>,
    view: impl Fn(&R, DocumentHash) -> View + 'static,
    report: impl FnMut(u64, &dyn Usage) + 'static,
) -> Selected<'scope, R> {
    let scope = changes.scope();
    let (handle, mail) = scope.feedback::<Vec<Mail>>(1);
    let mut builder = OperatorBuilder::new("Select".to_owned(), scope);
    let (kept, kept_stream) = builder.new_output::<Vec<Change<R>>>();
    let (summaries, summaries_stream) = builder.new_output::<Vec<Summary>>();
    let (letters, letters_stream) = builder.new_output::<Vec<Mail>>();
    let mut input = builder.new_input(changes, Pipeline);
    let exchange = Exchange::new(|mail: &Mail| u64::from(mail.to));
    let mut mail = builder.new_input_connection(mail, exchange, []);
    builder.set_notify_for(MAIL, FrontierInterest::Never);
    let to_allocator = Exchange::new(|_: &Weights| u64::from(ALLOCATING));
    let mut weights = weights.map(|weights| builder.new_input(weights, to_allocator));

    builder.build(move |mut capabilities| {
        for capability in &mut capabilities {
            capability.downgrade(&stage.first_epoch);
        }
        let mut operator = Operator {
            epochs: Epochs::new(view, stage, scope.index() as u32, scope.peers() as u32),
            held: Some(capabilities),
            kept: Output::from(kept),
            summaries: Output::from(summaries),
            letters: Output::from(letters),
            silent_epoch: stage.silent_epoch,
            report,
        };
        move |frontiers| {
            let epochs = &mut operator.epochs;
            let current = operator.held.as_ref().map(|held| *held[0].time());
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
            operator.advance(frontiers);
        }
    });
    letters_stream.connect_loop(handle);
    Selected {
        kept: kept_stream,
        summaries: summaries_stream,
    }
}

/// A worker's part in a stage, with the ways out of it.
struct Operator<R: Record, V, F> {
    epochs: Epochs<R, V>,
    /// One for each output, all at the current epoch; none after the last one.
    held: Option<Vec<Capability<u64>>>,
    kept: Output<Change<R>>,
    summaries: Output<Summary>,
    letters: Output<Mail>,
    silent_epoch: Option<u64>,
    report: F,
}

impl<R, V, F> Operator<R, V, F>
where
    R: Record,
    V: Fn(&R, DocumentHash) -> View,
    F: FnMut(u64, &dyn Usage),
{
    /// Goes on until there is something to wait for.
    fn advance(&mut self, frontiers: &[MutableAntichain<u64>]) {
        let epochs = &mut self.epochs;
        let (mut kept, mut letters) = (self.kept.activate(), self.letters.activate());
        let mut summaries = self.summaries.activate();
        while let Some(capabilities) = &mut self.held {
            let [for_kept, for_summaries, for_letters] = capabilities.as_mut_slice() else {
                unreachable!("one capability an output");
            };
            let mut post = letters.session(for_letters);
            epochs.deliver(|letter| post.give(letter));
            drop(post);
            let epoch = *for_kept.time();
            let passed = each_input(frontiers, |of| !of.less_equal(&epoch));
            let ended = each_input(frontiers, |of| of.frontier().is_empty());
            match epochs.step(epoch, passed, ended) {
                Step::Wait => break,
                Step::Close => {}
                Step::End => self.held = None,
                Step::Finish => {
                    if self.silent_epoch == Some(epoch) {
                        epochs.worker.finish(|_| ());
                    } else {
                        let mut session = kept.session(for_kept);
                        epochs.worker.finish(|change| session.give(change));
                    }
                    let mut session = summaries.session(for_summaries);
                    session.give_iterator(epochs.worker.summaries());
                    drop(session);
                    (self.report)(epoch, &epochs.worker);
                    for held in capabilities {
                        held.downgrade(&(epoch + 1));
                    }
                    epochs.begin(epoch + 1);
                }
            }
        }
    }
}

/// Whether something is so of the frontiers of all inputs that have an end.
fn each_input(
    frontiers: &[MutableAntichain<u64>],
    is_so: impl Fn(&MutableAntichain<u64>) -> bool,
) -> bool {
    let mut inputs = frontiers.iter().enumerate();
    inputs.all(|(input, frontier)| input == MAIL || is_so(frontier))
}
