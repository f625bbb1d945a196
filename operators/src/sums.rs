//! Sums by group, kept up to date: of what a stream of changes brings, what each group gained.
//!
//! Nothing is kept of the groups here: an epoch's outcome is differences, and who adds them up has
//! the sums. So a worker's state is [`in_full`]'s alone, one record a live document.

use std::collections::BTreeMap;
use std::ops::{AddAssign, SubAssign};

use timely::ExchangeData;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::Operator;

use crate::chunks::Chunks;
use crate::{Change, Record};

/// The changes of [`latest`](crate::latest()) in full: a replacement becomes a removal and an
/// addition, and a removal carries what was added before.
///
/// `keep` says what is kept of a record, by slot: its size and a byte for each live document. A
/// replacement by an equal record is no change.
pub fn in_full<'scope, R: ExchangeData, K: Record>(
    live: StreamVec<'scope, u64, Change<R>>,
    keep: impl Fn(&R) -> K + 'static,
) -> StreamVec<'scope, u64, Change<K>> {
    live.unary(Pipeline, "InFull", move |_, _| {
        let mut kept = Kept::default();
        move |input, output| {
            input.for_each(|stamp, data| {
                let mut session = output.session(&stamp);
                for change in data.drain(..) {
                    let now = (change.diff > 0).then(|| keep(&change.record));
                    let before = kept.replace(change.slot, now);
                    if before != now {
                        let tell = |diff, record| Change {
                            slot: change.slot,
                            diff,
                            id: change.id,
                            record,
                        };
                        session.give_iterator(before.map(|record| tell(-1, record)).into_iter());
                        session.give_iterator(now.map(|record| tell(1, record)).into_iter());
                    }
                }
            });
        }
    })
}

/// What is kept of the live documents, by slot.
struct Kept<K> {
    records: Chunks<K>,
    is_live: Chunks<bool>,
}

impl<K: Record> Default for Kept<K> {
    fn default() -> Self {
        Kept {
            records: Chunks::new(),
            is_live: Chunks::new(),
        }
    }
}

impl<K: Record> Kept<K> {
    /// Puts a slot's record, or takes it away; what stood there.
    fn replace(&mut self, slot: u32, now: Option<K>) -> Option<K> {
        let slot = slot as usize;
        self.records.reach(slot);
        self.is_live.reach(slot);
        let before = self.is_live[slot].then(|| self.records[slot]);
        self.is_live[slot] = now.is_some();
        self.records[slot] = now.unwrap_or_default();
        before
    }
}

/// What can be summed: the default is nothing, and what was added can be taken off again exactly.
pub trait Sum: Clone + Default + PartialEq + AddAssign + SubAssign + ExchangeData {}

impl<S: Clone + Default + PartialEq + AddAssign + SubAssign + ExchangeData> Sum for S {}

/// For each group whose sum changed in an epoch, by how much; one part from each worker.
///
/// `changes` are in full, as [`in_full`] and [`select`](crate::select()) tell them; `view` says
/// which group a document counts in, and with what.
///
/// ```
/// use riffle_operators::{DocumentHash, Upsert, in_full, latest, sum_by_group};
/// use timely::dataflow::InputHandle;
/// use timely::dataflow::channels::pact::Pipeline;
/// use timely::dataflow::operators::{Inspect, Probe};
///
/// let (sender, told) = std::sync::mpsc::channel();
/// timely::execute_directly(move |worker| {
///     let mut input = InputHandle::new();
///     let probe = worker.dataflow::<u64, _, _>(|scope| {
///         let live = latest(input.to_stream(scope), Pipeline, |_epoch, _usage| {});
///         let parity = |tokens: &i64| ((tokens % 2) as u64, *tokens);
///         let sums = sum_by_group(in_full(live, |tokens| *tokens), parity);
///         sums.inspect(move |sum| sender.send(*sum).unwrap()).probe().0
///     });
///     let id = |n| DocumentHash::from_bytes([n; 16]);
///     for (n, tokens) in [(1, 3), (2, 4), (3, 5)] {
///         input.send(Upsert { id: id(n), record: Some(tokens) });
///     }
///     input.advance_to(1);
///     input.send(Upsert { id: id(1), record: Some(6) });
///     input.send(Upsert { id: id(3), record: None });
///     input.advance_to(2);
///     worker.step_while(|| probe.less_than(&2));
/// });
/// // First the even group has 4 and the odd one 8; then 6 more, and 8 less.
/// let told: Vec<(u64, i64)> = told.iter().collect();
/// assert_eq!(told, [(0, 4), (1, 8), (0, 6), (1, -8)]);
/// ```
pub fn sum_by_group<'scope, K: Record, S: Sum>(
    changes: StreamVec<'scope, u64, Change<K>>,
    view: impl Fn(&K) -> (u64, S) + 'static,
) -> StreamVec<'scope, u64, (u64, S)> {
    changes.unary_frontier(Pipeline, "SumByGroup", move |_, _| {
        let mut epochs = BTreeMap::new();
        move |(input, frontier), output| {
            input.for_each(|stamp, data| {
                let epoch = *stamp.least().expect("a message has a time");
                let (_, sums) = epochs.entry(epoch).or_insert_with(|| {
                    let held = stamp.retain_least(0);
                    let held = held.expect("a message has a time");
                    (held, BTreeMap::<u64, S>::new())
                });
                for change in data.drain(..) {
                    let (group, amount) = view(&change.record);
                    let sum = sums.entry(group).or_default();
                    match change.diff > 0 {
                        true => *sum += amount,
                        false => *sum -= amount,
                    }
                }
            });
            while let Some(open) = epochs.first_entry()
                && !frontier.less_equal(open.key())
            {
                let (capability, sums) = open.remove();
                let changed = sums.into_iter().filter(|(_, sum)| *sum != S::default());
                output.session(&capability).give_iterator(changed);
            }
        }
    })
}
