//! Graphs and evaluations in few words, for all tests of this crate.

use riffle_mixtures::{Graph, LiveMixture, Mark, Method, Mixture, MixtureRule, Report, Setting};
use riffle_mixtures::{SkillIt, WHOLE};

pub fn names(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|it| format!("{prefix}{it}")).collect()
}

/// A graph of as many skills, evaluated as they are trained.
pub fn graph<R: AsRef<[f64]>>(edges: &[R]) -> Graph {
    let edges: Vec<Vec<f64>> = edges.iter().map(|row| row.as_ref().to_vec()).collect();
    let skills = names("s", edges.len());
    Graph::new(skills.clone(), skills, &edges).unwrap()
}

/// The reports of complete evaluations of a run without name, at rounds from 1.
pub fn reports(graph: &Graph, evaluations: &[&[f64]]) -> Vec<Report> {
    let of_round = |(round, losses): (u64, &&[f64])| {
        assert_eq!(losses.len(), graph.evaluation().len());
        let skills = graph.evaluation().iter().zip(losses.to_vec());
        let report = move |(skill, loss): (&String, f64)| Report {
            run: String::new(),
            mark: Mark::Round(round),
            skill: skill.clone(),
            loss: Some(loss),
        };
        skills.map(report).collect::<Vec<Report>>()
    };
    (1..).zip(evaluations).flat_map(of_round).collect()
}

/// The mixture after these evaluations.
pub fn skill_it(graph: Graph, setting: Setting, method: Method, evaluations: &[&[f64]]) -> Mixture {
    let reports = reports(&graph, evaluations);
    let mut live = LiveMixture::new(MixtureRule::new(graph, setting, method, 0).unwrap(), "");
    for report in &reports {
        live.apply(report).unwrap();
    }
    live.mixture(&[])
}

/// The weights of plain Skill-It in continual pre-training.
pub fn mixture<R: AsRef<[f64]>>(
    edges: &[R],
    eta: f64,
    window: usize,
    evaluations: &[&[f64]],
) -> Vec<u64> {
    let method = Method::SkillIt(SkillIt {
        eta,
        window,
        ..SkillIt::default()
    });
    let mixture = skill_it(
        graph(edges),
        Setting::ContinualPreTraining,
        method,
        evaluations,
    );
    mixture.weights().to_vec()
}

/// Passes when the weights are these shares to four digits.
pub fn close(weights: &[u64], shares: &[f64]) {
    assert_eq!(weights.len(), shares.len());
    for (weight, share) in weights.iter().zip(shares) {
        let found = *weight as f64 / WHOLE as f64;
        assert!(
            (found - share).abs() <= 0.00005,
            "{weights:?} are not {shares:?}"
        );
    }
}
