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

use crate::select::members::Members;
use crate::select::messages::Mail;
use crate::select::order::View;
use crate::select::owner::Owner;
use crate::select::protocol::Worker;
use crate::select::{Selected, Stage, Summary};
use crate::{Change, DocumentHash, Record, Usage};

type Output<T> = OutputBuilder<u64, CapacityContainerBuilder<Vec<T>>>;

pub(super) fn build<'scope, R: Record>(
    changes: StreamVec<'scope, u64, Change<R>>,
    stage: Stage,
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

    let members = Members::new(view, stage.quota.moving(), stage.guard);
    let owner = Owner::new(stage.quota, stage.guard);
    let (index, peers) = (scope.index() as u32, scope.peers() as u32);
    let mut worker = Worker::new(members, owner, index, peers);
    builder.build(move |mut capabilities| {
        for capability in &mut capabilities {
            capability.downgrade(&stage.first_epoch);
        }
        let mut held = Some(capabilities);
        let mut later: BTreeMap<u64, Vec<Vec<Change<R>>>> = BTreeMap::new();
        let mut inbox = VecDeque::new();
        // Between telling the counts of an epoch and knowing its cuts.
        let mut closed = false;
        move |frontiers| {
            let (mut kept, mut letters) = (kept.activate(), letters.activate());
            let mut summaries = summaries.activate();
            let epoch = held.as_ref().map(|held| *held[0].time());
            input.for_each(|stamp, data| {
                let time = *stamp.least().expect("a message has a time");
                if Some(time) == epoch && !closed {
                    worker.apply(data);
                    data.clear();
                } else {
                    assert!(
                        Some(time) >= epoch,
                        "epoch {time} is before the first, {epoch:?}"
                    );
                    later.entry(time).or_default().push(std::mem::take(data));
                }
            });
            mail.for_each(|_, data| inbox.extend(data.drain(..)));
            while let Some(capabilities) = &mut held {
                let [for_kept, for_summaries, for_letters] = capabilities.as_slice() else {
                    unreachable!("one capability an output");
                };
                // Even before this worker's epoch is closed: its owner can take others' counts.
                let mut session = letters.session(for_letters);
                deliver(&mut worker, &mut inbox, index, |letter| {
                    session.give(letter)
                });
                drop(session);
                let epoch = *for_kept.time();
                if !closed {
                    if frontiers[0].less_equal(&epoch) {
                        break;
                    }
                    let ended = frontiers[0].frontier().is_empty();
                    if ended && later.is_empty() && !worker.is_touched() {
                        held = None;
                        break;
                    }
                    worker.close();
                    closed = true;
                    continue;
                }
                if !worker.is_settled() {
                    break;
                }
                let mut session = kept.session(for_kept);
                worker.finish(|change| session.give(change));
                drop(session);
                summaries
                    .session(for_summaries)
                    .give_iterator(worker.summaries());
                report(epoch, &worker);
                closed = false;
                let next = epoch + 1;
                capabilities
                    .iter_mut()
                    .for_each(|capability| capability.downgrade(&next));
                for data in later.remove(&next).unwrap_or_default() {
                    worker.apply(&data);
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

/// Takes in the letters that are here and sends what they call for, until nothing is left to do.
fn deliver<R: Record, V: Fn(&R, DocumentHash) -> View>(
    worker: &mut Worker<R, V>,
    inbox: &mut VecDeque<Mail>,
    index: u32,
    mut post: impl FnMut(Mail),
) {
    loop {
        while let Some(letter) = worker.letter() {
            if letter.to == index {
                inbox.push_back(letter);
            } else {
                post(letter);
            }
        }
        let Some(letter) = inbox.pop_front() else {
            break;
        };
        worker.receive(letter);
    }
}
