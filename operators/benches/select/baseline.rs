//! The same from differential's own operators: keyed upserts, a `reduce` to the bins below the
//! quantile, and a join back to the documents. Whole bins, so not exact.

use differential_dataflow::VecCollection;
use differential_dataflow::operators::arrange::upsert::arrange_from_upsert;
use differential_dataflow::trace::implementations::{ValBuilder, ValSpine};
use timely::dataflow::StreamVec;

use crate::corpus::Facts;

const BINS: i64 = 1024;

/// A group and a bin of its keys.
type Place = (u32, u32);
/// A document's new place, in an epoch.
pub type Moved = (u64, Option<Place>, u64);

pub fn place(facts: &Facts) -> Place {
    (facts.group, (facts.key / 8192).clamp(0, BINS - 1) as u32)
}

/// The documents in the bins that lie wholly in the lower half of their group.
pub fn kept<'scope>(
    moved: StreamVec<'scope, u64, Moved>,
) -> VecCollection<'scope, u64, (u64, u32), isize> {
    let documents =
        arrange_from_upsert::<ValBuilder<_, _, _, _>, ValSpine<u64, Place, u64, isize>, _, _>(
            moved, "Upsert",
        );
    let placed = documents.as_collection(|document, place| (*place, *document));
    let bins = placed
        .clone()
        .map(|(place, _)| place)
        .reduce(|_group, bins, kept| {
            let total: isize = bins.iter().map(|(_, documents)| *documents).sum();
            let mut below = 0;
            for (bin, documents) in bins {
                below += documents;
                if below * 2 > total {
                    break;
                }
                kept.push((**bin, 1));
            }
        });
    placed
        .arrange_by_key()
        .join_core(bins.arrange_by_self(), |&(group, _), &document, &()| {
            Some((document, group))
        })
        .consolidate()
}
