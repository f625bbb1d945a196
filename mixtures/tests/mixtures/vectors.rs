//! Mixtures of the graphs of the paper's synthetic tasks, against numbers worked out apart from
//! this crate.

use crate::support::{close, graph, mixture, skill_it};
use riffle_mixtures::{Method, Setting, SkillIt};

const LEGO: [[f64; 5]; 5] = [
    [1.0, 0.0, 0.0, 0.0, 0.0],
    [0.5, 1.0, 0.5, 0.5, 0.0],
    [0.0, 0.0, 1.0, 0.0, 0.0],
    [0.0, 0.0, 0.0, 1.0, 0.0],
    [0.0, 0.0, 0.0, 0.0, 1.0],
];

#[test]
fn the_first_mixture_of_lego_follows_from_its_graph_alone() {
    let found = mixture(&LEGO, 0.5, 3, &[]);
    close(&found, &[0.1635, 0.3461, 0.1635, 0.1635, 0.1635]);
}

#[test]
fn lego_follows_the_losses_of_its_window() {
    const EACH: [f64; 5] = [0.0, 0.7, 0.7, 0.7, 0.7];
    let found = mixture(&LEGO, 0.5, 3, &[&EACH, &EACH, &EACH]);
    close(&found, &[0.0564, 0.4603, 0.1611, 0.1611, 0.1611]);
}

#[test]
fn the_first_mixture_of_addition_follows_from_its_graph_alone() {
    let addition = [[1.0, 0.0, 0.0], [0.5, 1.0, 0.0], [0.0, 0.0, 1.0]];
    close(&mixture(&addition, 0.1, 3, &[]), &[0.3277, 0.3445, 0.3277]);
}

#[test]
fn a_large_step_takes_the_best_skill_alone_and_not_an_overflow() {
    // The paper's step for RedPajama is 100; the exponents here reach 2500, those of doubles 709.
    let found = mixture(&LEGO, 100.0, 1, &[&[10.0; 5]]);
    assert_eq!(found, [0, 1_000_000_000, 0, 0, 0]);
}

#[test]
fn weights_are_the_same_integers_on_every_machine() {
    // Worked out with sixty digits; a reordered sum or a platform's exponential could miss the last.
    let edges: Vec<Vec<f64>> = (0..7)
        .map(|i| {
            (0..7)
                .map(|j| f64::from((i * 5 + j * 3) % 7) / 6.0)
                .collect()
        })
        .collect();
    let graph = graph(&edges);
    let method = Method::SkillIt(SkillIt {
        eta: 0.37,
        ..SkillIt::default()
    });
    let losses = [0.91, 2.33, 1.07, 0.11, 3.9, 0.003, 1.7];
    let found = skill_it(graph, Setting::ContinualPreTraining, method, &[&losses]);
    assert_eq!(found.weights().iter().sum::<u64>(), 1_000_000_000);
    assert_eq!(
        found.weights(),
        [
            227_100_714,
            97_840_173,
            81_486_057,
            265_494_801,
            181_294_950,
            55_297_826,
            91_485_479
        ]
    );
}
