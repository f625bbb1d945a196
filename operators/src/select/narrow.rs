//! Narrowing a search down by the marks that all workers answer with.

use crate::select::messages::Mark;
use crate::select::order::{Amount, Place, Span};

/// The least span between marks that surely holds the cut with `margin` of mass to both sides, and
/// the most documents that can be in it.
///
/// `marks` are of each worker, ascending, and all begin and end where `span` does. The cut is where
/// the mass below all workers' documents together is `target`.
pub(super) fn narrow(span: Span, marks: &[Vec<Mark>], target: i64, margin: i64) -> (Span, i64) {
    let mut places: Vec<Place> = marks.iter().flatten().map(|mark| mark.at).collect();
    places.sort_unstable();
    places.dedup();
    let (least, most) = (target.saturating_sub(margin), target.saturating_add(margin));
    let first = places.partition_point(|place| below_at_most(marks, *place).mass <= least);
    let from = first
        .checked_sub(1)
        .map_or(span.from, |before| places[before]);
    let last = places.partition_point(|place| below_at_least(marks, *place).mass < most);
    let to = places.get(last).copied().unwrap_or(span.to);
    let documents = (below_at_most(marks, to) - below_at_least(marks, from)).documents;
    (Span { from, to }, documents)
}

/// The sum over workers of what is below the last mark not above `place`.
fn below_at_least(marks: &[Vec<Mark>], place: Place) -> Amount {
    let mark = |of: &Vec<Mark>| of[of.partition_point(|mark| mark.at <= place).max(1) - 1].below;
    marks.iter().map(mark).sum()
}

/// The sum over workers of what is below the first mark not below `place`.
fn below_at_most(marks: &[Vec<Mark>], place: Place) -> Amount {
    let mark =
        |of: &Vec<Mark>| of[of.partition_point(|mark| mark.at < place).min(of.len() - 1)].below;
    marks.iter().map(mark).sum()
}

#[cfg(test)]
mod tests {
    use super::narrow;
    use crate::DocumentHash;
    use crate::select::messages::Mark;
    use crate::select::order::{Amount, Place, Span};

    fn place(key: i64) -> Place {
        Place {
            key,
            id: DocumentHash::default(),
        }
    }

    fn marks(of: &[(i64, i64)]) -> Vec<Mark> {
        let mark = |&(key, n): &(i64, i64)| Mark {
            at: place(key),
            below: Amount {
                documents: n,
                mass: 10 * n,
            },
        };
        of.iter().map(mark).collect()
    }

    #[test]
    fn one_worker_narrows_to_the_bins_around_the_target() {
        let span = Span {
            from: place(0),
            to: place(40),
        };
        let marks = [marks(&[(0, 0), (10, 5), (20, 9), (30, 14), (40, 20)])];
        let narrower = |from, to| Span {
            from: place(from),
            to: place(to),
        };
        assert_eq!(narrow(span, &marks, 100, 5), (narrower(20, 30), 5));
        assert_eq!(narrow(span, &marks, 100, 10), (narrower(20, 30), 5));
        assert_eq!(narrow(span, &marks, 100, 11), (narrower(10, 30), 9));
        assert_eq!(narrow(span, &marks, 100, i64::MAX), (span, 20));
    }

    #[test]
    fn a_place_between_a_workers_marks_counts_as_either() {
        let span = Span {
            from: place(0),
            to: place(40),
        };
        let marks = [
            marks(&[(0, 0), (20, 10), (40, 20)]),
            marks(&[(0, 0), (10, 6), (40, 12)]),
        ];
        // Below 10 there are 6 to 16 documents, below 20 there are 16 to 22.
        let (narrower, documents) = narrow(span, &marks, 160, 0);
        assert_eq!(
            narrower,
            Span {
                from: place(10),
                to: place(20)
            }
        );
        assert_eq!(documents, 22 - 6);
    }
}
