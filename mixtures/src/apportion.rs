//! Real weights into whole parts: integers that add to a total exactly.
//!
//! All sums and comparisons are of integers, so the parts are the same on every machine.

/// What the largest of some weights becomes: parts of it are finer than a billionth of a billionth.
const LARGEST: f64 = (1u64 << 62) as f64;

/// The weights as integers in proportion, the largest of them 2⁶².
///
/// Weights are finite and not negative. Where all are zero, all are equal.
pub(crate) fn integers(weights: &[f64]) -> Vec<u64> {
    let largest = weights.iter().copied().fold(0.0, f64::max);
    if largest == 0.0 {
        return vec![1; weights.len()];
    }
    let integer = |weight: &f64| (weight / largest * LARGEST) as u64;
    weights.iter().map(integer).collect()
}

/// Parts of `total` in proportion to the weights, by largest remainder: the parts add to `total`,
/// each is its exact share rounded down or up, and of equal remainders the first skill's is rounded
/// up.
///
/// Where all weights are zero they count as equal; without weights there are no parts.
pub(crate) fn apportion(total: u64, weights: &[u64]) -> Vec<u64> {
    let sum: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
    if sum == 0 {
        return match weights.len() {
            0 => Vec::new(),
            skills => apportion(total, &vec![1; skills]),
        };
    }
    let product = |weight: &u64| u128::from(total) * u128::from(*weight);
    let mut parts: Vec<u64> = weights.iter().map(|w| (product(w) / sum) as u64).collect();
    let left = total - parts.iter().sum::<u64>();
    let mut by_remainder: Vec<usize> = (0..weights.len()).collect();
    by_remainder.sort_by_key(|skill| std::cmp::Reverse(product(&weights[*skill]) % sum));
    for skill in by_remainder.into_iter().take(left as usize) {
        parts[skill] += 1;
    }
    parts
}

/// Parts of `total` in proportion to the weights, but none below `least`.
///
/// What the small ones get more is taken from the others in proportion to theirs. `least` times
/// their number is at most `total`.
pub(crate) fn apportion_above(total: u64, least: u64, weights: &[u64]) -> Vec<u64> {
    let mut ascending: Vec<usize> = (0..weights.len()).collect();
    ascending.sort_by_key(|skill| weights[*skill]);
    let mut sum: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
    let mut rest = total;
    let mut raised = vec![false; weights.len()];
    for skill in ascending {
        let weight = u128::from(weights[skill]);
        if weight * u128::from(rest) >= u128::from(least) * sum {
            break;
        }
        raised[skill] = true;
        rest -= least;
        sum -= weight;
    }
    let free: Vec<usize> = (0..weights.len()).filter(|skill| !raised[*skill]).collect();
    let free_weights: Vec<u64> = free.iter().map(|skill| weights[*skill]).collect();
    let mut parts = vec![least; weights.len()];
    for (skill, part) in free.into_iter().zip(apportion(rest, &free_weights)) {
        parts[skill] = part;
    }
    parts
}

/// How many of `samples` documents each skill gives: ⌊p·n⌋, and the last skill the remainder.
///
/// This is how the reference code of Skill-It draws a round, for those who compare with it: the
/// remainder is up to one document a skill, and all of it is the last skill's whatever its weight.
pub fn sample_counts(mixture: &crate::Mixture, samples: u64) -> Vec<u64> {
    let whole = u128::from(crate::WHOLE);
    let count = |weight: &u64| (u128::from(*weight) * u128::from(samples) / whole) as u64;
    let mut counts: Vec<u64> = mixture.weights().iter().map(count).collect();
    let left = samples - counts.iter().sum::<u64>();
    if let Some(last) = counts.last_mut() {
        *last += left;
    }
    counts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn of_equal_remainders_the_first_is_rounded_up() {
        assert_eq!(apportion(10, &[1, 1, 1]), [4, 3, 3]);
        assert_eq!(apportion(11, &[1, 1, 1]), [4, 4, 3]);
        assert_eq!(apportion(10, &[0, 0]), [5, 5]);
        assert_eq!(apportion(10, &[1, 2]), [3, 7]);
        assert!(apportion(10, &[]).is_empty());
    }

    #[test]
    fn what_the_least_part_takes_comes_from_the_others_in_proportion() {
        assert_eq!(apportion_above(100, 10, &[0, 30, 60]), [10, 30, 60]);
        // Raising the first leaves 90 for the others, whose second then falls below.
        assert_eq!(apportion_above(100, 10, &[0, 105, 895]), [10, 10, 80]);
        assert_eq!(apportion_above(100, 50, &[7, 1]), [50, 50]);
        assert_eq!(apportion_above(100, 0, &[0, 1]), [0, 100]);
        assert_eq!(apportion_above(9, 1, &[0, 0, 0]), [3, 3, 3]);
    }

    #[test]
    fn weights_become_integers_in_proportion() {
        assert_eq!(integers(&[0.5, 0.0, 2.0]), [1 << 60, 0, 1 << 62]);
        assert_eq!(integers(&[0.0, 0.0]), [1, 1]);
        assert_eq!(integers(&[f64::MAX, f64::MIN_POSITIVE]), [1 << 62, 0]);
    }

    proptest! {
        #[test]
        fn oracle_parts_add_up_and_are_shares_rounded_down_or_up(
            total in 0u64..2_000_000_000,
            weights in prop::collection::vec(0u64..1 << 62, 1..40),
        ) {
            let parts = apportion(total, &weights);
            prop_assert_eq!(parts.iter().sum::<u64>(), total);
            let sum: u128 = weights.iter().map(|w| u128::from(*w)).sum();
            prop_assume!(sum > 0);
            for (part, weight) in parts.iter().zip(&weights) {
                let exact = u128::from(total) * u128::from(*weight);
                let (low, high) = (exact / sum, exact.div_ceil(sum));
                prop_assert!((low..=high).contains(&u128::from(*part)));
            }
        }

        #[test]
        fn parts_above_a_least_add_up_keep_the_order_and_leave_none_below(
            weights in prop::collection::vec(0u64..1000, 1..30),
            least_of_share in 0u64..=100,
        ) {
            let total = 1_000_000_000;
            let least = total / weights.len() as u64 * least_of_share / 100;
            let parts = apportion_above(total, least, &weights);
            prop_assert_eq!(parts.iter().sum::<u64>(), total);
            prop_assert!(parts.iter().all(|part| *part >= least));
            for (a, b) in weights.iter().zip(&parts).flat_map(|a| {
                weights.iter().zip(&parts).map(move |b| (a, b))
            }) {
                prop_assert!(a.0 <= b.0 || a.1 >= b.1, "{a:?} {b:?}");
            }
            // Those above it share what is left in proportion, to a part each.
            let above: Vec<_> = weights.iter().zip(&parts).filter(|it| *it.1 > least + 1).collect();
            if let [(w0, p0), rest @ ..] = &above[..] {
                for (w, p) in rest {
                    let difference = (**p0 as f64 * **w as f64) - (**p as f64 * **w0 as f64);
                    prop_assert!(difference.abs() <= (**w0 + **w) as f64);
                }
            }
        }
    }
}
