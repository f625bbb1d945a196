//! Fixed and proportional mixtures, floors, and what a rule refuses.

use std::collections::BTreeMap;

use crate::support::{graph, names};
use riffle_mixtures::{
    Evaluations, Graph, Method, MixtureRule, RuleError, Setting, SkillIt, WHOLE,
};

fn three() -> Graph {
    Graph::identity(names("s", 3)).unwrap()
}

fn rule(method: Method, floor: u64) -> Result<MixtureRule, RuleError> {
    MixtureRule::new(three(), Setting::ContinualPreTraining, method, floor)
}

fn weights(method: Method, floor: u64, masses: &[u64]) -> Vec<u64> {
    let rule = rule(method, floor).unwrap();
    rule.mixture(&Evaluations::default(), masses)
        .weights()
        .to_vec()
}

fn fixed(weights: &[(&str, f64)]) -> Method {
    let weights = weights
        .iter()
        .map(|(skill, weight)| (skill.to_string(), *weight));
    Method::Fixed(weights.collect::<BTreeMap<String, f64>>())
}

#[test]
fn fixed_weights_need_not_add_to_one_and_a_skill_without_gets_nothing() {
    let found = weights(fixed(&[("s2", 3.0), ("s0", 1.0)]), 0, &[]);
    assert_eq!(found, [250_000_000, 0, 750_000_000]);
}

#[test]
fn proportional_weights_follow_the_masses() {
    let found = weights(Method::Proportional, 0, &[u64::MAX, 0, u64::MAX]);
    assert_eq!(found, [500_000_000, 0, 500_000_000]);
    let nothing_yet = weights(Method::Proportional, 0, &[0, 0, 0]);
    assert_eq!(nothing_yet, [333_333_334, 333_333_333, 333_333_333]);
}

#[test]
fn no_skill_gets_less_than_the_floor() {
    let found = weights(fixed(&[("s0", 1.0)]), 50_000_000, &[]);
    assert_eq!(found, [900_000_000, 50_000_000, 50_000_000]);
    let found = weights(Method::SkillIt(SkillIt::default()), WHOLE / 3, &[]);
    assert_eq!(found.iter().min(), Some(&333_333_333));
}

#[test]
fn what_cannot_be_used_is_refused_with_its_value_and_limit() {
    let message = |method, floor| rule(method, floor).unwrap_err().to_string();
    let skill_it = |eta, window| {
        Method::SkillIt(SkillIt {
            eta,
            window,
            ..SkillIt::default()
        })
    };
    let floor = message(Method::Stratified, WHOLE / 3 + 1);
    assert!(floor.ends_with("it can be at most 333333333"), "{floor}");
    assert!(message(fixed(&[("s3", 1.0)]), 0).contains("\"s3\""));
    assert!(message(fixed(&[("s0", -1.0)]), 0).contains("-1"));
    assert!(message(fixed(&[("s0", f64::INFINITY)]), 0).contains("inf"));
    assert_eq!(
        rule(fixed(&[("s0", 0.0)]), 0).unwrap_err(),
        RuleError::NoWeight
    );
    assert_eq!(rule(fixed(&[]), 0).unwrap_err(), RuleError::NoWeight);
    assert!(message(skill_it(f64::NAN, 1), 0).contains("NaN"));
    assert!(message(skill_it(-0.1, 1), 0).contains("from 0 to 1000000"));
    assert_eq!(rule(skill_it(1.0, 0), 0).unwrap_err(), RuleError::Window(0));
    let setting = MixtureRule::new(three(), Setting::OutOfDomain, Method::Stratified, 0);
    assert!(matches!(setting, Err(RuleError::Setting(_))));
}

#[test]
fn extreme_losses_and_steps_still_give_a_mixture() {
    let method = |eta| {
        Method::SkillIt(SkillIt {
            eta,
            window: 10_000,
            eta_schedule: true,
            normalise_losses: true,
            halve_ones: false,
        })
    };
    let edges = [[1e6, -1e6], [-1e6, 1e6]];
    for first in [
        &[f64::MIN_POSITIVE, 1e9],
        &[0.0, 0.0],
        &[5e-324, 5e-324],
        &[1e9, 1e9],
    ] {
        for last in [&[1e9, 0.0], &[0.0, 0.0], &[5e-324, 1.0]] {
            let setting = Setting::ContinualPreTraining;
            let evaluations: [&[f64]; 2] = [first, last];
            let found = crate::support::skill_it(graph(&edges), setting, method(1e6), &evaluations);
            assert_eq!(
                found.weights().iter().sum::<u64>(),
                WHOLE,
                "{first:?} {last:?}"
            );
        }
    }
}
