//! What a configured stage is to the operators: how much it keeps, and where a document stands in
//! its order.

use operators::density::{self, Sampling};
use operators::{Band, DocumentHash, Quota, Rate, View, draw};

use super::drawn::Staged;
use super::facts::Facts;
use super::groups::{GroupCode, Groups, NO_GROUP};
use super::rules::Rules;
use crate::config::{Budget, Keep, Mass, Over, Stage};

/// The purposes of the stages' draws; see [`draw`].
const RANDOM_STAGE: u64 = 1;
const DENSITY_STAGE: u64 = 2;
const SKILLS_STAGE: u64 = 3;
const STRATIFIED_STAGE: u64 = 4;

/// How the stage at `index`, which must be one by density, samples.
pub fn sampling(rules: &Rules, index: usize, first_epoch: u64) -> Sampling {
    let Stage::Density {
        rate,
        seed,
        epsilon,
        phases,
        over,
    } = rules.stages[index]
    else {
        unreachable!("the stage at {index} is the one by density");
    };
    let sketch = &rules.sketch;
    Sampling {
        sketch: density::Sketch::new(sketch.rows, sketch.cells, epsilon.ppm(), phases)
            .expect("the configuration's limits are the sketch's"),
        rate: share(rate),
        seed,
        purpose: DENSITY_STAGE,
        over: match over {
            Over::Live => density::Over::Live,
            Over::Survivors => density::Over::Survivors,
        },
        first_epoch,
        silent_epoch: None,
    }
}

fn share(rate: crate::config::Rate) -> Rate {
    Rate::from_ppm(rate.ppm()).expect("a rate is at most a million")
}

/// What groups keep that share a budget.
pub fn shared(budget: Budget) -> operators::Budget {
    match budget {
        Budget::Share(rate) => operators::Budget::Share(share(rate)),
        Budget::Mass(mass) => operators::Budget::Mass(mass),
    }
}

/// What a stage keeps of each group for itself.
pub fn quota(stage: &Stage) -> Quota {
    let (band, rate) = match stage {
        Stage::Perplexity { keep, rate, .. } => match keep {
            Keep::Low => (Band::Low, rate),
            Keep::Medium => (Band::Medium, rate),
            Keep::High => (Band::High, rate),
        },
        Stage::Random { rate, .. } => (Band::Low, rate),
        Stage::Density { .. } | Stage::Skills { .. } | Stage::Stratified { .. } => {
            unreachable!("what it keeps of a group depends on others")
        }
    };
    let rate = share(*rate);
    Quota { band, rate }
}

/// Where a document stands in the stage.
pub fn view<R: Staged>(
    stage: &Stage,
    groups: &Groups,
) -> impl Fn(&R, DocumentHash) -> View + use<R> + 'static {
    let (key, group, mass) = (key(stage), group(stage, groups), stage.mass());
    move |record, id| {
        let facts = record.facts();
        View {
            group: group(facts.group),
            key: key(facts, id),
            mass: match mass {
                Mass::Documents => 1,
                Mass::Tokens => facts.tokens,
            },
        }
    }
}

/// Where documents stand in a stage's order.
type Key = Box<dyn Fn(&Facts, DocumentHash) -> i64>;

fn key(stage: &Stage) -> Key {
    match *stage {
        Stage::Perplexity { .. } => Box::new(|facts, _| facts.mean_nll),
        Stage::Random { seed, .. } => drawn(seed, RANDOM_STAGE),
        Stage::Skills { seed, .. } => drawn(seed, SKILLS_STAGE),
        Stage::Stratified { seed, .. } => drawn(seed, STRATIFIED_STAGE),
        Stage::Density { .. } => unreachable!("its order is no function of a document alone"),
    }
}

fn drawn(seed: u64, purpose: u64) -> Key {
    Box::new(move |_, id| key_of(draw(seed, purpose, id)))
}

fn group(stage: &Stage, groups: &Groups) -> Box<dyn Fn(GroupCode) -> u64> {
    match stage.group_by() {
        None => Box::new(|_| NO_GROUP),
        Some(field) => {
            let index = groups.index(field).expect("the groups are of these stages");
            Box::new(groups.of_field(index))
        }
    }
}

/// A draw as a key: the same order, in signed numbers.
fn key_of(draw: u64) -> i64 {
    (draw ^ 1 << 63) as i64
}

/// The draw behind a key, in [0, 1).
pub fn draw_of(key: i64) -> f64 {
    (key as u64 ^ 1 << 63) as f64 / 2f64.powi(64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_order_as_draws_do() {
        let draws = [0, 1, u64::MAX / 2, u64::MAX / 2 + 1, u64::MAX];
        assert!(
            draws
                .windows(2)
                .all(|pair| key_of(pair[0]) < key_of(pair[1]))
        );
        assert_eq!((draw_of(key_of(0)), draw_of(key_of(1 << 63))), (0.0, 0.5));
    }
}
