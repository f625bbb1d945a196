//! Pure dataflow operators: the latest version of each document, exact selection of a band, and
//! sampling by density.
//!
//! No I/O, no text, no models, no clocks: [`latest`] turns upserts by document id into changes by
//! dense slot, [`select()`] keeps, in each group, an interval of a total order,
//! [`select_by_mixture()`] the same of groups that share a budget by weights that change, and
//! [`sample_by_density()`] draws documents the more seldom, the more there are like them. Stages
//! chain, each sees what the one before keeps, and what comes out is the exact change of the kept
//! set in every epoch. It is a function of the live documents and the last weights alone: not of the
//! order of arrival, of where epochs end, of the number of workers, or of restarts.
//!
//! ```
//! use std::sync::mpsc;
//!
//! use riffle_operators::{Band, DocumentHash, Quota, Rate, Stage, Upsert, View, latest, select};
//! use timely::dataflow::InputHandle;
//! use timely::dataflow::channels::pact::Exchange;
//! use timely::dataflow::operators::{Inspect, Probe};
//!
//! let (sender, told) = mpsc::channel();
//! timely::execute_directly(move |worker| {
//!     let half = Quota { band: Band::Low, rate: Rate::from_ppm(500_000).unwrap() };
//!     let mut input = InputHandle::new();
//!     let probe = worker.dataflow::<u64, _, _>(|scope| {
//!         let pact = Exchange::new(|upsert: &Upsert<i64>| upsert.id.halves()[0]);
//!         let live = latest(input.to_stream(scope), pact, |_epoch, _usage| {});
//!         let stage = Stage::new(half, 7);
//!         let by_loss = |loss: &i64, _id| View { group: 0, key: *loss, mass: 1 };
//!         let selected = select(live, stage, by_loss, |_epoch, _usage| {});
//!         selected.kept.inspect(move |c| sender.send((c.record, c.diff)).unwrap()).probe().0
//!     });
//!
//!     let id = |n: u8| DocumentHash::from_bytes([n; 16]);
//!     input.advance_to(7);
//!     for (n, loss) in [(1, 30), (2, 10), (3, 20), (4, 40)] {
//!         input.send(Upsert { id: id(n), record: Some(loss) });
//!     }
//!     input.advance_to(8);
//!     input.send(Upsert { id: id(2), record: None });
//!     input.send(Upsert { id: id(4), record: Some(5) });
//!     input.advance_to(9);
//!     worker.step_while(|| probe.less_than(&9));
//! });
//!
//! // Epoch 7 keeps the lower two of 30, 10, 20 and 40; epoch 8 the lowest of 30, 20 and 5.
//! let mut told: Vec<(i64, i32)> = told.iter().collect();
//! told[..2].sort();
//! told[2..].sort();
//! assert_eq!(told, [(10, 1), (20, 1), (5, 1), (10, -1), (20, -1)]);
//! ```
//!
//! # What the caller must do
//!
//! - All upserts of a document come from one sender, in order, and go to one worker ([`latest`]).
//! - Epochs are consecutive numbers from [`Stage::first_epoch`] on, which is any number and the
//!   same on all workers, and every worker's input advances through each of them, data or none.
//! - An input closes only when the last epoch is complete (a probe behind the stages has passed
//!   it): of several workers, one that sees the end before that may leave while others wait for it.
//! - A worker that panics leaves the others waiting too: install a panic hook that aborts.
//! - Inputs are not paced here. What is sent for later epochs waits in memory.
//!
//! # Restarts
//!
//! Nothing here is stored. To restart after epoch *e*, send what led to it, or only the live
//! documents, and the weights in force, as epoch *e*, with *e* as the first one; ignore what comes
//! out for it, and go on.
//!
//! # Memory
//!
//! At 10⁷ documents, [`latest`] takes about 28 bytes a live document, and a stage the size of the
//! record (rounded up to eight), 16 bytes of id, and about seven of bins for each document of its
//! input. A group takes a few hundred bytes on each worker that has seen a document of it, also
//! after it has become empty; with a shared budget, about a hundred more on the first worker, also
//! where only weights have named it. What [`density`] takes is said there.

mod chunks;
pub mod density;
mod document;
mod draw;
mod latest;
pub mod select;
mod sums;
mod usage;

pub use density::sample_by_density;
pub use document::{Change, DocumentHash, Record, Upsert};
pub use draw::draw;
pub use latest::latest;
pub use select::{
    Amount, Band, Budget, Place, Quota, Rate, Selected, Stage, Summary, View, Weights, select,
    select_by_mixture, select_stratified,
};
pub use sums::{Sum, in_full, sum_by_group};
pub use usage::Usage;
