//! Sampling by density: documents are drawn in inverse proportion to how crowded they stand.
//!
//! A document has a code for each row of a sketch, and its density is the mean, over the rows, of
//! the number of documents with the same code, itself among them. Drawn without replacement with
//! p ∝ 1/density, a page with a thousand copies is kept about as often as one that has none. After
//! every epoch the result is that of a batch job over the live documents.
//!
//! # Two halves
//!
//! - *Counters* (`counts`), one on every worker, each have some rows of the sketch. A count enters
//!   a density as a *level* (`levels`), the largest power of 1 + ε not above it, so a document is
//!   touched about rows/ln(1 + ε) times while the corpus grows by a factor of e, whatever its size.
//! - *Members* (`members`), also on every worker, have the documents: by slot the codes and the
//!   record (`slots`), in shards of arrivals the densities, and a list for every cell (`shards`).
//!
//! # An epoch
//!
//! 1. While changes come, members send the codes of documents that come and go to the counters.
//! 2. When the epoch is complete in both inputs and all codes are counted, every counter tells
//!    every member the cells that have another level. Members walk their lists, and look at the
//!    few documents whose sums have left the span in which nothing happens (`document`).
//! 3. The order is E(x)·s(x), with E exponential and fixed by the id (`order`), and the first of it
//!    are kept. Growth moves all keys, so only the documents in a *guard* around the cut, most of
//!    it ahead of where growth moves the cut, are in a [`select`](crate::select()) of their own; the
//!    others are counted (`band`, `guard`).
//! 4. If the cut is not inside the guard, all members tell all others a histogram of their keys,
//!    put the same new guard, and select again.
//! 5. Members look at the documents that may have passed the cut, and tell the changes.
//!
//! All is integers, and letters are counted, as in `select`.
//!
//! # Memory and pauses
//!
//! A live document takes two bytes a row for its codes, which a takedown must count off again, and
//! in the lists two bytes a row, as much again where gaps are long, and its share of 1.3 bytes a
//! cell for every half million documents: with 128 rows of 20,000 cells 256 and 280. Beside that
//! are 32 bytes, and as many as record and id have. The sketch has five bytes a cell over all
//! workers, and each worker one more. The last half million documents are in parts, whose lists take
//! 45 bytes more each, and the part that fills takes two for each row and each of its cells.
//!
//! Nothing is sorted or merged all at once: full parts are sorted by row, full shards merged by row,
//! and those with many dead emptied, each in proportion to what comes. A new guard takes two passes
//! over the documents of a worker, 24 bytes each.
//!
//! # It is not
//!
//! An index of neighbours: it knows how many documents share a cell, not which are alike. Nor does
//! it make codes: they come with the documents.
//!
//! # Sources
//!
//! The sketch is RACE (Coleman & Shrivastava, WWW 2020), the sampling that of Sachdeva et al. (arXiv
//! 2402.09668, §3.3); levels and their upkeep are ours.

mod band;
mod bounds;
mod by_row;
mod counts;
mod document;
mod guard;
mod levels;
mod lists;
mod members;
mod messages;
mod operator;
mod order;
mod part;
mod protocol;
mod shard;
mod shards;
mod slots;
mod sorted;
mod summary;
mod touches;

use serde::{Deserialize, Serialize};
use timely::ExchangeData;
use timely::dataflow::StreamVec;

use crate::select::Rate;
use crate::{Change, DocumentHash, Record, Usage};
pub use levels::{LEVEL_FRACTION_BITS, Levels};
pub use order::exponential;
pub use summary::Summary;

/// The shape of a sketch, and how exactly its counts enter a density.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sketch {
    rows: u16,
    cells: u32,
    epsilon_ppm: u32,
    phases: u32,
}

impl Sketch {
    /// A sketch of `rows` rows with `cells` cells each, whose levels are powers of 1 + ε.
    ///
    /// `None` unless there are 1 to 4096 rows and 1 to 65,536 cells, and [`Levels::new`] takes the
    /// other two. Good to start from: 128 rows, 20,000 cells, ε = 1 (a million), 16 phases.
    pub fn new(rows: u16, cells: u32, epsilon_ppm: u32, phases: u32) -> Option<Self> {
        let sound = (1..=4096).contains(&rows) && (1..=1 << 16).contains(&cells);
        Levels::new(epsilon_ppm, phases).filter(|_| sound)?;
        Some(Sketch {
            rows,
            cells,
            epsilon_ppm,
            phases,
        })
    }

    /// How many codes a document has.
    pub fn rows(&self) -> u16 {
        self.rows
    }

    /// How many different codes there are in a row: all are smaller than this.
    pub fn cells(&self) -> u32 {
        self.cells
    }

    /// What counts are worth.
    pub fn levels(&self) -> Levels {
        Levels::new(self.epsilon_ppm, self.phases).expect("it was tried before")
    }
}

/// Among which documents crowding is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// All live documents, also those that earlier stages left out.
    Live,
    /// Those alone that may be drawn.
    Survivors,
}

/// How a stage samples by density.
#[derive(Clone, Copy, Debug)]
pub struct Sampling {
    /// The sketch of the density.
    pub sketch: Sketch,
    /// The share of the survivors that is kept: of N, exactly ⌊rate·N⌋.
    pub rate: Rate,
    /// The seed of the draw, and what else tells it from others under the same seed.
    pub seed: u64,
    /// The purpose under the seed: see [`draw`](crate::draw()).
    pub purpose: u64,
    /// What is counted.
    pub over: Over,
    /// The first epoch that the inputs can have.
    pub first_epoch: u64,
    /// An epoch whose changes are not given, only its summary: one whose result its reader has, as
    /// after a restart.
    pub silent_epoch: Option<u64>,
}

/// A document that is kept, with the density that it had when it was admitted.
///
/// Densities change all the time, and are not told again while the document stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Drawn<R> {
    /// The document's facts, as the survivors had them.
    pub record: R,
    /// The mean level of its cells, in documents: about how many stand where it stands.
    pub density: f32,
}

/// What comes out of the stage.
pub struct Sampled<'scope, R> {
    /// Every change of the kept set.
    pub kept: StreamVec<'scope, u64, Change<Drawn<R>>>,
    /// In every epoch, one part of the summary from each worker: add them up.
    pub summaries: StreamVec<'scope, u64, Summary>,
}

/// A sample of the survivors drawn without replacement with p ∝ 1/density, as changes.
///
/// The ⌊rate·N⌋ survivors with the smallest E(x)·s(x) are kept, ties broken by the id: E is
/// [`exponential`], and s the sum over the rows of the [`Levels::value`] of the document's cell.
/// What is told in an epoch, and in which order, is as in [`select`](crate::select()).
///
/// `live` are the changes of [`latest`](crate::latest()), and `survivors` those of a `select` behind
/// it on the same workers, with the same slots, or of `latest` itself; every survivor is live.
/// `codes` writes a document's codes, one for each row and each smaller than
/// [`Sketch::cells`]; it must be a pure function, and is asked once for each addition. The records
/// of `live` need not be small: they are not kept.
///
/// Epochs are consecutive from `sampling.first_epoch` on; the [crate's documentation](crate) says
/// what the caller must do. `report` hears of every epoch when it is complete on this worker.
///
/// ```
/// use std::sync::mpsc;
///
/// use riffle_operators::density::{Over, Sampling, Sketch};
/// use riffle_operators::{Change, DocumentHash, Rate, Upsert, latest, sample_by_density};
/// use timely::dataflow::InputHandle;
/// use timely::dataflow::channels::pact::Pipeline;
/// use timely::dataflow::operators::vec::Map;
/// use timely::dataflow::operators::{Inspect, Probe};
///
/// let (sender, told) = mpsc::channel();
/// timely::execute_directly(move |worker| {
///     let sampling = Sampling {
///         sketch: Sketch::new(2, 1000, 1_000_000, 16).unwrap(),
///         rate: Rate::from_ppm(500_000).unwrap(),
///         seed: 1,
///         purpose: 0,
///         over: Over::Live,
///         first_epoch: 0,
///         silent_epoch: None,
///     };
///     let mut input = InputHandle::new();
///     let probe = worker.dataflow::<u64, _, _>(|scope| {
///         let live = latest(input.to_stream(scope), Pipeline, |_epoch, _usage| {});
///         // Here all live documents may be drawn, and nothing is kept of them but id and density.
///         let survivors = live.clone().map(|Change { slot, diff, id, .. }: Change<Vec<u16>>| {
///             Change { slot, diff, id, record: () }
///         });
///         let codes = |record: &Vec<u16>, _id, codes: &mut [u16]| codes.copy_from_slice(record);
///         let sampled = sample_by_density(live, survivors, sampling, codes, |_epoch, _usage| {});
///         sampled.kept.inspect(move |c| sender.send((c.diff, c.record.density)).unwrap()).probe().0
///     });
///     for n in 0..100u8 {
///         // All but one are copies.
///         let cell = u16::from(n == 0);
///         input.send(Upsert { id: DocumentHash::from_bytes([n; 16]), record: Some(vec![cell; 2]) });
///     }
///     input.advance_to(1);
///     worker.step_while(|| probe.less_than(&1));
/// });
///
/// let told: Vec<(i32, f32)> = told.iter().collect();
/// assert_eq!(told.len(), 50);
/// // The one that is like no other is nearly sure to be among them.
/// assert_eq!(told.iter().filter(|(_, density)| *density < 2.0).count(), 1);
/// ```
///
/// # Panics
/// On changes before the first epoch, and on a code that is not smaller than the number of cells.
pub fn sample_by_density<'scope, L: ExchangeData, R: Record>(
    live: StreamVec<'scope, u64, Change<L>>,
    survivors: StreamVec<'scope, u64, Change<R>>,
    sampling: Sampling,
    codes: impl Fn(&L, DocumentHash, &mut [u16]) + 'static,
    report: impl FnMut(u64, &dyn Usage) + 'static,
) -> Sampled<'scope, R> {
    operator::build(live, survivors, sampling, codes, report)
}
