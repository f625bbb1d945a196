//! Documents with their codes, and the way on which the two part.
//!
//! Only a stage by density counts codes, and it keeps them itself; the stages before it see facts.

use operators::Change;
use serde::{Deserialize, Serialize};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::progress::operate::FrontierInterest;

use super::facts::Facts;

/// A document's code in each row of the sketch.
pub type Codes = Box<[u16]>;

/// A document as a pipeline with a stage by density reads it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Coded {
    /// What all stages see.
    pub facts: Facts,
    /// What the sketch counts.
    pub codes: Codes,
}

/// Every change twice: with the codes alone, and with the facts alone.
///
/// Two outputs instead of two consumers of one, which would copy the codes of every document.
pub fn part<'s>(
    live: StreamVec<'s, u64, Change<Coded>>,
) -> (
    StreamVec<'s, u64, Change<Codes>>,
    StreamVec<'s, u64, Change<Facts>>,
) {
    let mut builder = OperatorBuilder::new("Part".to_owned(), live.scope());
    let mut live = builder.new_input(live, Pipeline);
    builder.set_notify_for(0, FrontierInterest::Never);
    let (codes, codes_stream) = builder.new_output::<Vec<Change<Codes>>>();
    let (facts, facts_stream) = builder.new_output::<Vec<Change<Facts>>>();
    let mut codes = OutputBuilder::<_, CapacityContainerBuilder<_>>::from(codes);
    let mut facts = OutputBuilder::<_, CapacityContainerBuilder<_>>::from(facts);
    builder.build(move |_capabilities| {
        move |_frontiers| {
            let (mut codes, mut facts) = (codes.activate(), facts.activate());
            // Not `for_each_stamp`, which may change the order of an epoch's containers.
            live.for_each(|stamp, changes| {
                let mut codes = codes.session(&stamp);
                let mut facts = facts.session(&stamp);
                for change in changes.drain(..) {
                    facts.give(with(&change, change.record.facts));
                    codes.give(Change {
                        slot: change.slot,
                        diff: change.diff,
                        id: change.id,
                        record: change.record.codes,
                    });
                }
            });
        }
    });
    (codes_stream, facts_stream)
}

/// The same change of another record.
pub fn with<R, S>(change: &Change<R>, record: S) -> Change<S> {
    Change {
        slot: change.slot,
        diff: change.diff,
        id: change.id,
        record,
    }
}
