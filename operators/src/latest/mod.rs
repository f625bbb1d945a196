//! The latest version of each document: upserts by id become changes by dense slot.
//!
//! No record is kept here, only 16 bytes of hash and a slot, about 28 bytes a live document. The
//! stages downstream keep arrays by slot, so only this operator ever looks an id up.

mod slots;
mod table;

use std::collections::BTreeMap;

use timely::ExchangeData;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::ParallelizationContract;
use timely::dataflow::operators::generic::Operator;

use crate::{Change, DocumentHash, Upsert, Usage};
use slots::Slots;

/// Every change of the set of live documents, each with the document's slot on its worker.
///
/// An addition of a document that is live replaces its record, a takedown of one that is not is
/// nothing, and of several upserts of one document in an epoch the last to arrive wins. A removal
/// carries `R::default()`, and a replacement is one addition without a removal: a
/// [`select`](crate::select()) behind it, which may keep everything, turns these into full changes.
///
/// `pact` must bring all upserts of a document to one worker: an `Exchange` by the first half of
/// the id, or `Pipeline` where the source's partitions are by id already. Upserts of one document
/// must come from one sender, in order. A slot taken away in an epoch is given anew from the next
/// one on.
///
/// Epochs may start anywhere and leave gaps. Data of the current epoch are worked on as they come,
/// those of later ones wait. `report` is called whenever an epoch is complete on this worker, with
/// its number; of epochs without data it may see only some, and before the first one it may see 0.
pub fn latest<'scope, R: Default + ExchangeData>(
    upserts: StreamVec<'scope, u64, Upsert<R>>,
    pact: impl ParallelizationContract<u64, Vec<Upsert<R>>>,
    mut report: impl FnMut(u64, &dyn Usage) + 'static,
) -> StreamVec<'scope, u64, Change<R>> {
    upserts.unary_frontier(pact, "Latest", move |capability, _| {
        let mut capability = Some(capability);
        let mut slots = Slots::new();
        let mut later: BTreeMap<u64, Vec<Vec<Upsert<R>>>> = BTreeMap::new();
        move |(input, frontier), output| {
            // Not `for_each_stamp`: its unstable sort loses the order of arrival within an epoch.
            input.for_each(|stamp, data| {
                let epoch = *stamp.least().expect("a message has a time");
                let held = capability
                    .as_ref()
                    .expect("no message after the input's end");
                if epoch == *held.time() {
                    let mut session = output.session(held);
                    slots.apply(data, |change| session.give(change));
                    data.clear();
                } else {
                    later.entry(epoch).or_default().push(std::mem::take(data));
                }
            });
            while let Some(held) = &mut capability {
                if frontier.less_equal(held.time()) {
                    break;
                }
                slots.end_epoch();
                report(*held.time(), &slots);
                let waiting = later.first_key_value().map(|(epoch, _)| *epoch);
                let coming = frontier.frontier().first().copied();
                let Some(next) = waiting.into_iter().chain(coming).min() else {
                    capability = None;
                    break;
                };
                held.downgrade(&next);
                let mut session = output.session(held);
                for mut data in later.remove(&next).unwrap_or_default() {
                    slots.apply(&mut data, |change| session.give(change));
                }
            }
        }
    })
}

impl Slots {
    /// Takes the records out of `upserts`.
    fn apply<R: Default>(&mut self, upserts: &mut [Upsert<R>], mut give: impl FnMut(Change<R>)) {
        for i in 0..upserts.len() {
            self.prefetch(|ahead| upserts.get(i + ahead).map(|upsert| upsert.id));
            let record = upserts[i].record.take();
            if let Some(change) = self.upsert(upserts[i].id, record) {
                give(change);
            }
        }
    }

    fn upsert<R: Default>(&mut self, id: DocumentHash, record: Option<R>) -> Option<Change<R>> {
        Some(match record {
            Some(record) => Change {
                slot: self.find_or_assign(id),
                diff: 1,
                id,
                record,
            },
            None => Change {
                slot: self.release(id)?,
                diff: -1,
                id,
                record: R::default(),
            },
        })
    }
}

impl Usage for Slots {
    fn live(&self) -> usize {
        Slots::live(self)
    }

    fn bytes(&self) -> usize {
        Slots::bytes(self)
    }
}
