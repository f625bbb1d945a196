//! Skill-It: skills are weighed by the losses that training on them lowers.

use serde::{Deserialize, Serialize};

use crate::{Evaluations, Graph};

/// What the factors of an exponent are kept below, so that no product of them overflows.
const FACTOR_MAX: f64 = 1e100;

/// The update of Skill-It, equation 1 and algorithm 1 of the paper, with the options of its
/// reference code.
///
/// `p[i] ∝ exp(η Σ_τ Σ_j A[i, j] L[j](τ))` over the last evaluations `τ`: each update restarts from
/// equal weights, so a mixture depends on the last evaluations and on nothing before them, but for
/// `L₀`. Before the first evaluation every loss counts as 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SkillIt {
    /// The step size η.
    pub eta: f64,
    /// How many complete evaluations count, whatever the number of rounds between them.
    pub window: usize,
    /// Whether the step is η / (Σ L_t / Σ L₀): larger as the losses sink below the first ones.
    pub eta_schedule: bool,
    /// Whether each loss counts as a share of the same skill's in the first evaluation.
    pub normalise_losses: bool,
    /// Whether edges between different skills count ½ in a graph of zeros and ones.
    pub halve_ones: bool,
}

impl Default for SkillIt {
    /// The paper's for its LEGO task.
    fn default() -> Self {
        SkillIt {
            eta: 0.5,
            window: 3,
            eta_schedule: false,
            normalise_losses: false,
            halve_ones: true,
        }
    }
}

impl SkillIt {
    /// Positive weights in proportion to the mixture, the largest 1, one a training skill.
    ///
    /// `averaged` divides the window's losses by how many there are. The bits are the same on every
    /// machine: sums go from left to right, and the exponential is not the platform's.
    pub(crate) fn weights(
        &self,
        graph: &Graph,
        evaluations: &Evaluations,
        averaged: bool,
    ) -> Vec<f64> {
        let (eta, losses) = match evaluations.first {
            None => (self.eta, vec![1.0; graph.evaluation().len()]),
            Some(first) => (
                self.step(
                    first,
                    evaluations
                        .window
                        .last()
                        .expect("the first is in it or before"),
                ),
                self.losses(first, &evaluations.window, averaged),
            ),
        };
        let exponents: Vec<f64> = graph.times(&losses).iter().map(|sum| eta * sum).collect();
        let largest = exponents.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        exponents
            .iter()
            .map(|exponent| libm::exp(exponent - largest))
            .collect()
    }

    /// The step after the evaluation `last`. Where nothing is left of the losses it is η.
    fn step(&self, first: &[f64], last: &[f64]) -> f64 {
        let left: f64 = last.iter().sum();
        if !self.eta_schedule || left == 0.0 {
            return self.eta;
        }
        (self.eta / (left / first.iter().sum::<f64>())).min(FACTOR_MAX)
    }

    /// The window's losses by evaluation skill, as they enter the exponent.
    fn losses(&self, first: &[f64], window: &[&[f64]], averaged: bool) -> Vec<f64> {
        let count = if averaged { window.len() as f64 } else { 1.0 };
        let of_skill = |skill: usize| {
            let sum: f64 = window.iter().map(|losses| losses[skill]).sum();
            let loss = sum / count;
            match first[skill] {
                _ if !self.normalise_losses => loss,
                // Learnt before the first evaluation: there is no share of nothing to ask for.
                0.0 => 0.0,
                first => (loss / first).min(FACTOR_MAX),
            }
        };
        (0..first.len()).map(of_skill).collect()
    }
}
