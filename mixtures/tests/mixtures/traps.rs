//! What is easily done otherwise than the reference code of Skill-It does it, each as a test that
//! the other way fails; and what that code does by accident, with what is done instead.

use crate::support::{close, graph, mixture, names, reports, skill_it};
use riffle_mixtures::{
    Graph, LiveMixture, Mark, Method, MixtureRule, Report, Setting, SkillIt, WHOLE, sample_counts,
};

const IDENTITY: [[f64; 2]; 2] = [[1.0, 0.0], [0.0, 1.0]];

/// Shares in proportion to exp of the exponents.
fn softmax(exponents: &[f64]) -> Vec<f64> {
    let sum: f64 = exponents.iter().map(|it| it.exp()).sum();
    exponents.iter().map(|it| it.exp() / sum).collect()
}

fn with(options: SkillIt) -> Method {
    Method::SkillIt(options)
}

#[test]
fn each_update_restarts_from_equal_weights() {
    let many: [&[f64]; 4] = [&[9.0, 0.0], &[9.0, 0.0], &[9.0, 0.0], &[1.0, 2.0]];
    assert_eq!(
        mixture(&IDENTITY, 0.5, 1, &many),
        mixture(&IDENTITY, 0.5, 1, &many[3..]),
        "multiplicative weights would remember the first three"
    );
}

#[test]
fn the_window_counts_evaluations_and_not_rounds() {
    let graph = graph(&IDENTITY);
    let method = with(SkillIt {
        eta: 0.5,
        window: 2,
        ..SkillIt::default()
    });
    let rule = MixtureRule::new(graph.clone(), Setting::ContinualPreTraining, method, 0).unwrap();
    let mut live = LiveMixture::new(rule, "");
    for mut report in reports(&graph, &[&[1.0, 0.0], &[0.0, 3.0]]) {
        // Rounds 10 and 20: a window of two rounds would hold the last evaluation alone.
        let Mark::Round(round) = report.mark else {
            unreachable!()
        };
        report.mark = Mark::Round(10 * round);
        live.apply(&report).unwrap();
    }
    close(live.mixture(&[]).weights(), &softmax(&[0.5, 1.5]));
}

#[test]
fn an_incomplete_evaluation_takes_no_place_in_the_window() {
    let graph = graph(&IDENTITY);
    let method = with(SkillIt {
        eta: 0.5,
        window: 1,
        ..SkillIt::default()
    });
    let rule = MixtureRule::new(graph.clone(), Setting::ContinualPreTraining, method, 0).unwrap();
    let mut live = LiveMixture::new(rule, "");
    for report in reports(&graph, &[&[1.0, 0.0], &[0.0, 3.0]]).iter().take(3) {
        live.apply(report).unwrap();
    }
    assert_eq!(live.mixture(&[]).follows(), Some(Mark::Round(1)));
    close(live.mixture(&[]).weights(), &softmax(&[0.5, 0.0]));
}

#[test]
fn a_window_is_summed_in_continual_pre_training() {
    let found = mixture(&IDENTITY, 0.5, 3, &[&[1.0, 0.0], &[2.0, 0.5]]);
    close(&found, &softmax(&[1.5, 0.25]));
}

#[test]
fn a_window_is_summed_out_of_domain() {
    let graph = Graph::new(names("t", 2), names("e", 1), &[vec![1.0], vec![0.25]]).unwrap();
    let method = with(SkillIt {
        eta: 0.5,
        ..SkillIt::default()
    });
    let found = skill_it(graph, Setting::OutOfDomain, method, &[&[1.0], &[2.0]]);
    close(found.weights(), &softmax(&[1.5, 0.375]));
}

#[test]
fn a_window_is_averaged_in_fine_tuning() {
    let graph = Graph::new(names("s", 2), names("s", 1), &[vec![1.0], vec![0.25]]).unwrap();
    let method = with(SkillIt {
        eta: 0.5,
        ..SkillIt::default()
    });
    // Two evaluations in a window of three: the average is over those that there are.
    let found = skill_it(graph, Setting::FineTuning, method, &[&[1.0], &[2.0]]);
    close(found.weights(), &softmax(&[0.75, 0.1875]));
}

#[test]
fn ones_between_skills_count_half_in_a_graph_of_zeros_and_ones() {
    let ones = [[1.0, 1.0], [0.0, 1.0]];
    close(&mixture(&ones, 0.5, 1, &[]), &softmax(&[0.75, 0.5]));
    let as_given = with(SkillIt {
        halve_ones: false,
        ..SkillIt::default()
    });
    let found = skill_it(graph(&ones), Setting::ContinualPreTraining, as_given, &[]);
    close(found.weights(), &softmax(&[1.0, 0.5]));
    // The reference code halves single ones among measured edges too; these are left alone.
    close(
        &mixture(&[[1.0, 1.0], [0.3, 1.0]], 0.5, 1, &[]),
        &softmax(&[1.0, 0.65]),
    );
}

#[test]
fn out_of_domain_every_one_counts_half_as_no_skill_is_its_own() {
    // The reference code spares the first row's first edge, for standing on the diagonal.
    let graph = Graph::new(
        names("t", 2),
        names("e", 2),
        &[vec![1.0, 0.0], vec![1.0, 1.0]],
    );
    let method = with(SkillIt::default());
    let found = skill_it(graph.unwrap(), Setting::OutOfDomain, method, &[]);
    close(found.weights(), &softmax(&[0.25, 0.5]));
}

#[test]
fn the_first_mixture_ignores_schedule_and_normalisation() {
    let method = with(SkillIt {
        eta_schedule: true,
        normalise_losses: true,
        ..SkillIt::default()
    });
    let found = skill_it(graph(&IDENTITY), Setting::ContinualPreTraining, method, &[]);
    close(found.weights(), &[0.5, 0.5]);
}

#[test]
fn the_schedule_divides_the_step_by_the_share_of_the_first_loss_that_is_left() {
    let method = with(SkillIt {
        eta: 0.5,
        window: 1,
        eta_schedule: true,
        ..SkillIt::default()
    });
    let setting = Setting::ContinualPreTraining;
    let found = skill_it(
        graph(&IDENTITY),
        setting,
        method.clone(),
        &[&[3.0, 1.0], &[0.5, 0.5]],
    );
    close(found.weights(), &[0.5, 0.5]);
    let found = skill_it(
        graph(&IDENTITY),
        setting,
        method.clone(),
        &[&[3.0, 1.0], &[0.8, 0.2]],
    );
    // A quarter is left, so the step is 2.
    close(found.weights(), &softmax(&[1.6, 0.4]));
    let nothing_left = skill_it(
        graph(&IDENTITY),
        setting,
        method,
        &[&[3.0, 1.0], &[0.0, 0.0]],
    );
    close(nothing_left.weights(), &[0.5, 0.5]);
}

#[test]
fn normalised_losses_are_shares_of_the_first_evaluation() {
    let method = with(SkillIt {
        eta: 1.0,
        window: 2,
        normalise_losses: true,
        ..SkillIt::default()
    });
    let setting = Setting::ContinualPreTraining;
    let evaluations: [&[f64]; 3] = [&[4.0, 0.5], &[2.0, 0.5], &[1.0, 0.4]];
    let found = skill_it(graph(&IDENTITY), setting, method.clone(), &evaluations);
    close(found.weights(), &softmax(&[0.75, 1.8]));
    // A skill without a first loss has no share of it left.
    let found = skill_it(
        graph(&IDENTITY),
        setting,
        method,
        &[&[4.0, 0.0], &[2.0, 7.0]],
    );
    close(found.weights(), &softmax(&[1.5, 0.0]));
}

#[test]
fn the_first_losses_are_the_first_evaluations_and_stay_so() {
    // The reference code overwrites them with the second evaluation's when that is made.
    let method = with(SkillIt {
        eta: 1.0,
        window: 1,
        normalise_losses: true,
        ..SkillIt::default()
    });
    let evaluations: [&[f64]; 3] = [&[4.0, 4.0], &[2.0, 4.0], &[2.0, 2.0]];
    let found = skill_it(
        graph(&IDENTITY),
        Setting::ContinualPreTraining,
        method,
        &evaluations,
    );
    close(found.weights(), &[0.5, 0.5]);
}

#[test]
fn sample_counts_are_rounded_down_and_the_last_skill_takes_the_remainder() {
    let thirds = mixture(
        &[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
        0.5,
        3,
        &[],
    );
    assert_eq!(thirds, [333_333_334, 333_333_333, 333_333_333]);
    let skills = graph(&[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]);
    let found = skill_it(
        skills,
        Setting::ContinualPreTraining,
        with(SkillIt::default()),
        &[],
    );
    assert_eq!(sample_counts(&found, 32_000), [10_666, 10_666, 10_668]);
    assert_eq!(sample_counts(&found, 2), [0, 0, 2]);
    let most: u64 = sample_counts(&found, u64::MAX).iter().sum();
    assert_eq!(most, u64::MAX);
}

#[test]
fn stratified_sampling_is_over_other_skills_in_every_setting() {
    let weights = |graph: &Graph, setting| {
        let found = skill_it(graph.clone(), setting, Method::Stratified, &[]);
        found.weights().to_vec()
    };
    // s0 helps s1, s1 is evaluated and helped by nothing else, s2 helps nothing.
    let edges = [vec![1.0], vec![0.0], vec![0.0]];
    let evaluated = vec!["s1".to_owned()];
    let fine_tuning = Graph::new(names("s", 3), evaluated, &edges).unwrap();
    assert_eq!(
        weights(&fine_tuning, Setting::FineTuning),
        [WHOLE / 2, WHOLE / 2, 0]
    );
    let out_of_domain = Graph::new(names("s", 3), vec!["e".into()], &edges).unwrap();
    assert_eq!(weights(&out_of_domain, Setting::OutOfDomain), [WHOLE, 0, 0]);
    let all = graph(&[[1.0, 0.0], [0.0, 0.0]]);
    assert_eq!(
        weights(&all, Setting::ContinualPreTraining),
        [WHOLE / 2, WHOLE / 2]
    );
    let none = Graph::new(names("s", 1), vec!["e".into()], &[vec![0.0]]).unwrap();
    let error = MixtureRule::new(none, Setting::OutOfDomain, Method::Stratified, 0).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("no edge of the graph is above zero"),
        "{error}"
    );
}

#[test]
fn a_report_that_is_seen_again_does_not_count_twice() {
    let graph = graph(&IDENTITY);
    let method = with(SkillIt::default());
    let rule = MixtureRule::new(graph.clone(), Setting::ContinualPreTraining, method, 0).unwrap();
    let mut live = LiveMixture::new(rule, "");
    let reports: Vec<Report> = reports(&graph, &[&[1.0, 0.0]]);
    for report in reports.iter().chain(&reports).chain(&reports) {
        live.apply(report).unwrap();
    }
    close(live.mixture(&[]).weights(), &softmax(&[0.5, 0.0]));
}
