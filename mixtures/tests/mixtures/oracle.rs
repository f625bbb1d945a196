//! A live mixture after any stream of reports, against a computation over those in effect that
//! shares no code with this crate.

use std::collections::BTreeMap;

use proptest::prelude::*;
use riffle_mixtures::{
    Graph, LiveMixture, Mark, Method, MixtureRule, Report, Setting, SkillIt, WHOLE,
};

const TRAINING: [&str; 4] = ["a", "b", "c", "d"];

/// What identifies a report of the run.
type Identity = (Mark, String);

#[derive(Clone, Debug)]
struct Scenario {
    setting: Setting,
    edges: Vec<Vec<f64>>,
    skill_it: SkillIt,
    reports: Vec<Report>,
}

fn evaluation(setting: Setting) -> &'static [&'static str] {
    match setting {
        Setting::ContinualPreTraining => &TRAINING,
        Setting::FineTuning => &["c", "a"],
        Setting::OutOfDomain => &["x", "y", "z"],
    }
}

fn report() -> impl Strategy<Value = Report> {
    let mark = prop_oneof![
        6 => (0u64..5).prop_map(Mark::Round),
        1 => (0u64..3).prop_map(Mark::Step),
    ];
    let run = prop_oneof![9 => Just("r"), 1 => Just("other")];
    let skill = prop::sample::select(vec!["a", "b", "c", "d", "x", "y", "z", "unknown"]);
    let loss = prop_oneof![
        4 => (0u32..4000).prop_map(|n| Some(f64::from(n) / 1000.0)),
        1 => Just(None),
    ];
    (run, mark, skill, loss).prop_map(|(run, mark, skill, loss)| Report {
        run: run.into(),
        mark,
        skill: skill.into(),
        loss,
    })
}

fn scenario() -> impl Strategy<Value = Scenario> {
    use Setting::*;
    let setting = prop::sample::select(vec![ContinualPreTraining, FineTuning, OutOfDomain]);
    let options = (0u32..20, 1usize..5, any::<bool>(), any::<bool>());
    (setting, options).prop_flat_map(|(setting, (eta, window, eta_schedule, normalise_losses))| {
        let edge = (-2i32..=10).prop_map(|n| f64::from(n) / 10.0 + 0.03);
        let row = prop::collection::vec(edge, evaluation(setting).len());
        let edges = prop::collection::vec(row, TRAINING.len());
        let reports = prop::collection::vec(report(), 0..150);
        (edges, reports).prop_map(move |(edges, reports)| Scenario {
            setting,
            edges,
            skill_it: SkillIt {
                eta: f64::from(eta) / 10.0,
                window,
                eta_schedule,
                normalise_losses,
                halve_ones: false,
            },
            reports,
        })
    })
}

fn names(skills: &[&str]) -> Vec<String> {
    skills.iter().map(|it| it.to_string()).collect()
}

fn live(scenario: &Scenario) -> LiveMixture {
    let evaluation = names(evaluation(scenario.setting));
    let graph = Graph::new(names(&TRAINING), evaluation, &scenario.edges).unwrap();
    let method = Method::SkillIt(scenario.skill_it.clone());
    LiveMixture::new(
        MixtureRule::new(graph, scenario.setting, method, 0).unwrap(),
        "r",
    )
}

/// The reports in effect: of each identity the last, if it has a loss.
fn in_effect(reports: &[Report]) -> BTreeMap<Identity, f64> {
    let mut losses = BTreeMap::new();
    for report in reports.iter().filter(|it| it.run == "r") {
        let identity = (report.mark, report.skill.clone());
        match report.loss {
            Some(loss) => losses.insert(identity, loss),
            None => losses.remove(&identity),
        };
    }
    losses
}

/// Shares by the paper's formula, in the plainest way.
fn batch(scenario: &Scenario) -> (Option<Mark>, Vec<f64>) {
    let losses = in_effect(&scenario.reports);
    let skills = evaluation(scenario.setting);
    let mut marks: Vec<Mark> = losses.keys().map(|(mark, _)| *mark).collect();
    marks.dedup();
    let of = |mark: Mark| -> Option<Vec<f64>> {
        let loss = |skill: &&str| losses.get(&(mark, skill.to_string())).copied();
        skills.iter().map(loss).collect()
    };
    let complete: Vec<(Mark, Vec<f64>)> = marks
        .into_iter()
        .filter_map(|mark| Some((mark, of(mark)?)))
        .collect();
    let options = &scenario.skill_it;
    let window = &complete[complete.len().saturating_sub(options.window)..];
    let mut eta = options.eta;
    let mut entering = vec![1.0; skills.len()];
    if let (Some((_, first)), Some((_, last))) = (complete.first(), complete.last()) {
        let (total, total_first): (f64, f64) = (last.iter().sum(), first.iter().sum());
        if options.eta_schedule && total > 0.0 {
            eta = eta * total_first / total;
        }
        for (j, entering) in entering.iter_mut().enumerate() {
            *entering = window.iter().map(|(_, losses)| losses[j]).sum();
            if scenario.setting == Setting::FineTuning {
                *entering /= window.len() as f64;
            }
            if options.normalise_losses {
                *entering = if first[j] > 0.0 {
                    *entering / first[j]
                } else {
                    0.0
                };
            }
        }
    }
    let exponent = |row: &Vec<f64>| -> f64 {
        eta * row
            .iter()
            .zip(&entering)
            .map(|(edge, loss)| edge * loss)
            .sum::<f64>()
    };
    let exponents: Vec<f64> = scenario.edges.iter().map(exponent).collect();
    let largest = exponents.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = exponents.iter().map(|it| (it - largest).exp()).collect();
    let sum: f64 = powers.iter().sum();
    let shares = powers.iter().map(|power| power / sum).collect();
    (complete.last().map(|(mark, _)| *mark), shares)
}

proptest! {
    #[test]
    fn oracle_a_live_mixture_is_that_of_the_reports_in_effect(scenario in scenario()) {
        let mut live = live(&scenario);
        for count in 0..=scenario.reports.len() {
            if count > 0 {
                live.apply(&scenario.reports[count - 1]).unwrap();
            }
            let so_far = Scenario { reports: scenario.reports[..count].to_vec(), ..scenario.clone() };
            let (mark, shares) = batch(&so_far);
            let found = live.mixture(&[]);
            prop_assert_eq!(found.follows(), mark);
            prop_assert_eq!(found.weights().iter().sum::<u64>(), WHOLE);
            for (weight, share) in found.weights().iter().zip(&shares) {
                // Exponents reach some thousands where losses are normalised by small first ones.
                let difference = *weight as f64 - share * WHOLE as f64;
                prop_assert!(difference.abs() < 2.0, "{:?} {:?}", found.weights(), shares);
            }
        }
    }

    #[test]
    fn reports_in_any_order_give_the_same_bits(scenario in scenario(), seed in any::<u64>()) {
        let mut straight = live(&scenario);
        for report in &scenario.reports {
            straight.apply(report).unwrap();
        }
        // The reports in effect in another order, each after two that do not last.
        let mut effective: Vec<(Identity, f64)> =
            in_effect(&scenario.reports).into_iter().collect();
        let mut state = seed;
        for last in (1..effective.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            effective.swap(last, (state >> 33) as usize % (last + 1));
        }
        let mut other = live(&scenario);
        for ((mark, skill), loss) in effective {
            for loss in [Some(0.5), None, Some(loss), Some(loss)] {
                let report = Report { run: "r".into(), mark, skill: skill.clone(), loss };
                other.apply(&report).unwrap();
            }
        }
        prop_assert_eq!(straight.mixture(&[]), other.mixture(&[]));
        prop_assert_eq!(straight.losses().counts(), other.losses().counts());
    }
}
