//! Water-filling: one budget divided by weight, of which no claim gets more than its mass.
//!
//! Think of a vessel for each claim, as wide as its weight and as large as its mass, all filled from
//! one source to one level: those that are full leave the rest to the others. The level is a
//! fraction of two integers, so the parts depend on neither the order of the claims nor the machine.

use std::cmp::Ordering;

/// What a group could take, and its weight among the others, which is not 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    pub mass: i64,
    pub weight: u64,
}

impl Claim {
    /// Orders claims by the level at which they are full.
    ///
    /// Products fit: masses have 63 bits, and the sum of all weights 64.
    fn by_level(&self, other: &Claim) -> Ordering {
        let product = |one: &Claim, two: &Claim| i128::from(one.mass) * i128::from(two.weight);
        product(self, other).cmp(&product(other, self))
    }
}

/// How high the water stands: claims that are not full get `rest / weight` for each unit of theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Level {
    /// The budget without the full claims' masses.
    rest: i128,
    /// The weight of the claims that are not full; 0 if all are.
    weight: i128,
}

impl Level {
    /// The level at which a budget is used up, or all claims are full; the claims change places.
    ///
    /// A claim is full if it is at the level that stands when all that need less are full, and then
    /// so are they. So the last full one is searched for by halves, in time linear in the claims.
    pub(super) fn of(budget: i64, claims: &mut [Claim]) -> Level {
        let (_, weight) = sums(claims);
        let mut level = Level {
            rest: i128::from(budget),
            weight,
        };
        let mut open = claims;
        while !open.is_empty() {
            let middle = open.len() / 2;
            let (below, at, above) = open.select_nth_unstable_by(middle, Claim::by_level);
            let (mass, weight) = sums(below);
            let with_below_full = level.without(mass, weight);
            if with_below_full.fills(at) {
                level = with_below_full.without(at.mass.into(), at.weight.into());
                open = above;
            } else {
                open = below;
            }
        }
        level
    }

    fn without(self, mass: i128, weight: i128) -> Level {
        Level {
            rest: self.rest - mass,
            weight: self.weight - weight,
        }
    }

    fn fills(&self, claim: &Claim) -> bool {
        i128::from(claim.mass) * self.weight <= self.rest * i128::from(claim.weight)
    }

    /// What a claim gets: its mass, or its part of what the full ones leave, rounded down.
    pub(super) fn part(&self, claim: Claim) -> i64 {
        if self.fills(&claim) {
            return claim.mass;
        }
        let part = self.rest * i128::from(claim.weight) / self.weight;
        i64::try_from(part).expect("a part is less than the mass of a claim that is not full")
    }
}

/// The mass and the weight of some claims together.
fn sums(claims: &[Claim]) -> (i128, i128) {
    let add = |(mass, weight), claim: &Claim| {
        let (more, wider) = (i128::from(claim.mass), i128::from(claim.weight));
        (mass + more, weight + wider)
    };
    claims.iter().fold((0, 0), add)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Claim, Level};

    fn fill(budget: i64, claims: &[Claim]) -> Vec<i64> {
        let level = Level::of(budget, &mut claims.to_vec());
        claims.iter().map(|claim| level.part(*claim)).collect()
    }

    fn claims(of: &[(i64, u64)]) -> Vec<Claim> {
        of.iter()
            .map(|&(mass, weight)| Claim { mass, weight })
            .collect()
    }

    #[test]
    fn without_a_full_claim_each_gets_the_floor_of_its_share() {
        let parts = claims(&[(100, 500_000_000), (100, 300_000_000), (100, 200_000_000)]);
        assert_eq!(fill(99, &parts), [49, 29, 19]);
    }

    #[test]
    fn what_a_full_claim_leaves_goes_to_the_others_by_weight() {
        // 100 by 2:1:1 is 50, 25 and 25. The first leaves 40, and of its 20 the third leaves 15.
        assert_eq!(
            fill(100, &claims(&[(10, 2), (80, 1), (30, 1)])),
            [10, 60, 30]
        );
    }

    #[test]
    fn the_edges_of_budgets_and_claims() {
        assert_eq!(fill(10, &[]), [0; 0]);
        assert_eq!(fill(0, &claims(&[(5, 1), (0, 9)])), [0, 0]);
        assert_eq!(fill(7, &claims(&[(5, 1), (2, 9)])), [5, 2]);
        assert_eq!(fill(i64::MAX, &claims(&[(5, 1), (0, 9)])), [5, 0]);
        assert_eq!(fill(1, &claims(&[(5, 1), (5, 1)])), [0, 0]);
        let all = [(i64::MAX, u64::MAX / 2), (i64::MAX, u64::MAX / 2)];
        assert_eq!(fill(i64::MAX, &claims(&all)), [i64::MAX / 2; 2]);
    }

    /// Claims of any size, with many ties and many that are full at one level.
    fn any_claims() -> impl Strategy<Value = Vec<Claim>> {
        let mass = prop_oneof![
            Just(0),
            1..20i64,
            0..1_000_000i64,
            0..=i64::MAX / 64,
            Just(i64::MAX / 64),
        ];
        let weight = prop_oneof![Just(1), 1..5u64, 1..=1_000_000_000u64, Just(1 << 32)];
        let claim = (mass, weight).prop_map(|(mass, weight)| Claim { mass, weight });
        prop::collection::vec(claim, 0..60)
    }

    /// Budgets near nothing, near all, and anywhere between.
    fn with_budget() -> impl Strategy<Value = (i64, Vec<Claim>)> {
        (any_claims(), 0..=1_000_000i128, -30..30i128).prop_map(|(claims, ppm, more)| {
            let all: i128 = claims.iter().map(|claim| i128::from(claim.mass)).sum();
            let budget = (all * ppm / 1_000_000 + more).clamp(0, i64::MAX.into());
            (i64::try_from(budget).unwrap(), claims)
        })
    }

    proptest! {
        #[test]
        fn oracle_parts_are_those_of_rounds_that_end_when_nothing_moves(
            (budget, claims) in with_budget(),
        ) {
            // The definition: share out, fix those that are full, share what is left, and so on.
            let mut full = vec![false; claims.len()];
            let (rest, weight) = loop {
                let of = |wanted: bool| claims.iter().zip(&full).filter(move |c| *c.1 == wanted);
                let taken: i128 = of(true).map(|(claim, _)| i128::from(claim.mass)).sum();
                let weight: i128 = of(false).map(|(claim, _)| i128::from(claim.weight)).sum();
                let rest = i128::from(budget) - taken;
                let now: Vec<bool> = claims.iter().zip(&full).map(|(claim, full)| {
                    *full || i128::from(claim.mass) * weight <= rest * i128::from(claim.weight)
                }).collect();
                if now == full {
                    break (rest, weight);
                }
                full = now;
            };
            for ((part, claim), full) in fill(budget, &claims).iter().zip(&claims).zip(full) {
                let expected = if full {
                    claim.mass.into()
                } else {
                    rest * i128::from(claim.weight) / weight
                };
                prop_assert_eq!(i128::from(*part), expected);
            }
        }

        #[test]
        fn no_part_is_above_its_mass_nor_all_of_them_above_the_budget(
            (budget, claims) in with_budget(),
        ) {
            let parts = fill(budget, &claims);
            for (part, claim) in parts.iter().zip(&claims) {
                prop_assert!((0..=claim.mass).contains(part));
            }
            prop_assert!(parts.iter().copied().map(i128::from).sum::<i128>() <= budget.into());
        }

        #[test]
        fn what_is_left_while_a_claim_is_not_full_is_the_rounding_alone(
            (budget, claims) in with_budget(),
        ) {
            let parts = fill(budget, &claims);
            let open = parts.iter().zip(&claims).filter(|(part, c)| **part < c.mass).count();
            let left = i128::from(budget) - parts.iter().copied().map(i128::from).sum::<i128>();
            prop_assert!(open == 0 || left < open as i128, "{left} left by {open} that are not full");
        }

        #[test]
        fn claims_that_are_not_full_get_parts_in_proportion_and_full_ones_no_more(
            (budget, claims) in with_budget(),
        ) {
            let parts = fill(budget, &claims);
            let open = |i: usize| parts[i] < claims[i].mass;
            for i in (0..claims.len()).filter(|i| open(*i)) {
                for j in 0..claims.len() {
                    let [wi, wj] = [i, j].map(|k| i128::from(claims[k].weight));
                    let [pi, pj] = [i, j].map(|k| i128::from(parts[k]));
                    // Between its floor and the next integer, the level of `i` is at least that
                    // of `j`, and the same if that is not full either.
                    prop_assert!(pj * wi <= (pi + 1) * wj);
                }
            }
        }

        #[test]
        fn the_order_of_the_claims_means_nothing(
            (budget, claims) in with_budget(),
            at in any::<prop::sample::Index>(),
        ) {
            let parts = fill(budget, &claims);
            let mut pairs: Vec<(Claim, i64)> = claims.into_iter().zip(parts).collect();
            let at = if pairs.is_empty() { 0 } else { at.index(pairs.len()) };
            pairs.rotate_left(at);
            pairs.reverse();
            let turned: Vec<Claim> = pairs.iter().map(|pair| pair.0).collect();
            let parts: Vec<i64> = pairs.iter().map(|pair| pair.1).collect();
            prop_assert_eq!(fill(budget, &turned), parts);
        }
    }
}
