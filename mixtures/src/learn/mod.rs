//! Skills graphs from measured losses, by the two rules of the paper (appendix, LearnGraph).

mod curves;
#[cfg(test)]
mod tests;

pub use curves::{CurveError, Curves};

use crate::{Graph, GraphError};
use curves::Trained;

/// What an edge between different skills is at most under the exact rule, where the diagonal is 1:
/// the ratio of the graphs that the reference code draws by hand.
const EXACT_LARGEST: f64 = 0.5;
/// Edges are rounded to parts of this, which is finer than losses are measured and short to write.
const EDGE_PARTS: f64 = 1e6;

/// How an edge from skill `i` to skill `j` is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// By how much less the loss on `j` is after training on `i` and `j` than after as many steps
    /// on `j` alone. It takes a run a pair of skills.
    Exact,
    /// By how much training on `i` lowers the loss on `j`. It takes a run a skill.
    Approximate,
}

/// What is compared, and what counts.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LearnOptions {
    /// The training steps after which losses are compared; `None` for the most that all curves
    /// have.
    pub steps: Option<u64>,
    /// What a loss must be lowered by to make an edge, in nats.
    pub least_drop: f64,
}

/// Why no graph can be learnt.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum LearnError {
    /// A run that the rule needs is not in the table.
    #[error("the table has no losses on {skill:?} of training on {trained}")]
    NoCurve {
        /// What should have been trained on.
        trained: String,
        /// The evaluation skill.
        skill: String,
    },
    /// A curve has no loss at the step asked for.
    #[error("the losses on {skill:?} of training on {trained} have none after {steps} steps")]
    NoStep {
        /// What was trained on.
        trained: String,
        /// The evaluation skill.
        skill: String,
        /// The step.
        steps: u64,
    },
    /// The curves have no step in common.
    #[error(
        "no number of steps is in every curve that the rule needs; losses are compared after \
         equally many, so evaluate all runs at the same steps"
    )]
    NoCommonStep,
    /// There is nothing to compare a curve with.
    #[error(
        "training on {trained} has no loss on {skill:?} at step 0; add it, or one of the untrained \
         model, a row with \"trained\" left empty"
    )]
    NoStart {
        /// What was trained on.
        trained: String,
        /// The evaluation skill.
        skill: String,
    },
    /// Nothing helped anything.
    #[error("no training lowered any loss by more than {0} nats, so the graph would have no edge")]
    NoEdge(f64),
    /// The table's skills make no graph.
    #[error(transparent)]
    Graph(#[from] GraphError),
}

/// The skills graph that the curves show.
///
/// Exact: `A[j, j] = 1`, and the other edges in proportion to the drop that training on `i` adds,
/// the largest ½. Approximate: all edges in proportion to the drop, the largest 1. A skill that
/// gains nothing, or less than [`LearnOptions::least_drop`], has no edge. Edges are rounded to six
/// decimals. Rows and columns are in the order in which the table first names them; a training
/// skill that is named only beside another is a row too.
///
/// # Errors
/// [`LearnError`]: a run or a step is missing, or there would be no edge.
pub fn learn(curves: &Curves, rule: Rule, options: LearnOptions) -> Result<Graph, LearnError> {
    let (rows, columns) = (curves.training().len(), curves.evaluation().len());
    let pairs: Vec<(usize, usize)> = (0..rows)
        .flat_map(|i| (0..columns).map(move |j| (i, j)))
        .collect();
    let drops = match rule {
        Rule::Exact => exact(curves, options.steps, &pairs)?,
        Rule::Approximate => approximate(curves, options.steps, &pairs)?,
    };
    let counts = |drop: &f64| *drop > options.least_drop.max(0.0);
    let largest = drops
        .iter()
        .flatten()
        .copied()
        .filter(counts)
        .fold(0.0, f64::max);
    let (scale, own) = match rule {
        Rule::Exact => (EXACT_LARGEST, 1.0),
        Rule::Approximate if largest == 0.0 => return Err(LearnError::NoEdge(options.least_drop)),
        Rule::Approximate => (1.0, 0.0),
    };
    let edge = |drop: &Option<f64>| match drop {
        None => own,
        Some(drop) if counts(drop) => (scale * drop / largest * EDGE_PARTS).round() / EDGE_PARTS,
        Some(_) => 0.0,
    };
    let row = |row: &[Option<f64>]| row.iter().map(edge).collect();
    let edges: Vec<Vec<f64>> = drops.chunks(columns.max(1)).map(row).collect();
    let (training, evaluation) = (curves.training().to_vec(), curves.evaluation().to_vec());
    Ok(Graph::new(training, evaluation, &edges)?)
}

/// What training on each `i` beside `j` lowers the loss on `j` by; `None` on the diagonal.
fn exact(
    curves: &Curves,
    steps: Option<u64>,
    pairs: &[(usize, usize)],
) -> Result<Vec<Option<f64>>, LearnError> {
    // The place among the training skills of each evaluation skill.
    let own: Vec<usize> = (0..curves.evaluation().len())
        .map(|j| {
            curves
                .training_place(j)
                .ok_or_else(|| curves.never_trained(j))
        })
        .collect::<Result<_, _>>()?;
    let alone = |j: usize| (Trained::One(own[j]), j);
    let both = |i: usize, j: usize| (Trained::two(i, own[j]), j);
    let needed: Vec<(Trained, usize)> = pairs
        .iter()
        .flat_map(|(i, j)| [alone(*j), both(*i, *j)])
        .collect();
    let steps = curves.steps(steps, &needed)?;
    let drop = |(i, j): &(usize, usize)| {
        let loss = |curve| curves.loss(curve, steps);
        (*i != own[*j]).then(|| loss(alone(*j)) - loss(both(*i, *j)))
    };
    Ok(pairs.iter().map(drop).collect())
}

/// What training on each `i` lowers the loss on `j` by.
fn approximate(
    curves: &Curves,
    steps: Option<u64>,
    pairs: &[(usize, usize)],
) -> Result<Vec<Option<f64>>, LearnError> {
    let curve = |(i, j): &(usize, usize)| (Trained::One(*i), *j);
    let needed: Vec<(Trained, usize)> = pairs.iter().map(curve).collect();
    let steps = curves.steps(steps, &needed)?;
    let drop = |pair| {
        Ok(Some(
            curves.start(curve(pair))? - curves.loss(curve(pair), steps),
        ))
    };
    pairs.iter().map(drop).collect()
}
