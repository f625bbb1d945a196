//! The skills graph: how much training on one skill lowers the loss on another.

mod error;
mod read;

use std::collections::HashSet;
use std::sync::Arc;

pub use error::GraphError;
use error::Place;
pub(crate) use error::check_name;

/// Most skills on either side of a graph.
pub const SKILLS_MAX: usize = 10_000;
/// Most edges of a graph, zeros counted: 128 MiB.
const EDGES_MAX: usize = 1 << 24;
/// Longest name of a skill, in bytes.
pub const NAME_BYTES_MAX: usize = 256;
/// Largest edge. No edge has a unit, so this only keeps sums finite.
const EDGE_MAX: f64 = 1e6;

/// A skills graph `A`, `[k, m]`: a row a training skill, a column an evaluation skill.
///
/// `A[i, j] > 0` says that training on skill `i` lowers the loss on skill `j`, the more, the larger.
#[derive(Clone, Debug, PartialEq)]
pub struct Graph {
    training: Arc<[String]>,
    evaluation: Arc<[String]>,
    /// Row by row.
    edges: Vec<f64>,
}

impl Graph {
    /// A graph of these skills and edges, a row a training skill.
    ///
    /// # Errors
    /// [`GraphError`]: no skills, too many, a name that is empty, too long or given twice, a row of
    /// another length, an edge that is not finite or too large.
    pub fn new(
        training: Vec<String>,
        evaluation: Vec<String>,
        edges: &[Vec<f64>],
    ) -> Result<Self, GraphError> {
        check_skills("training", &training)?;
        check_skills("evaluation", &evaluation)?;
        if training.len() * evaluation.len() > EDGES_MAX {
            return Err(GraphError::TooManyEdges {
                training: training.len(),
                evaluation: evaluation.len(),
                most: EDGES_MAX,
            });
        }
        if edges.len() != training.len() {
            return Err(GraphError::Rows {
                found: edges.len(),
                expected: training.len(),
            });
        }
        for (row, values) in edges.iter().enumerate() {
            if values.len() != evaluation.len() {
                return Err(GraphError::RowLength {
                    row: row + 1,
                    skill: training[row].clone(),
                    found: values.len(),
                    expected: evaluation.len(),
                });
            }
            for (column, value) in values.iter().enumerate() {
                if !(value.is_finite() && value.abs() <= EDGE_MAX) {
                    return Err(GraphError::Edge {
                        place: Place::of(row, column, &training, &evaluation),
                        value: *value,
                        most: EDGE_MAX,
                    });
                }
            }
        }
        Ok(Graph {
            training: training.into(),
            evaluation: evaluation.into(),
            edges: edges.concat(),
        })
    }

    /// The graph of skills that each help themselves alone.
    ///
    /// # Errors
    /// As [`Graph::new`].
    pub fn identity(skills: Vec<String>) -> Result<Self, GraphError> {
        check_skills("training", &skills)?;
        let edge = |i: usize, j: usize| f64::from(u8::from(i == j));
        let row = |i: usize| (0..skills.len()).map(|j| edge(i, j)).collect();
        let edges: Vec<Vec<f64>> = (0..skills.len()).map(row).collect();
        Graph::new(skills.clone(), skills, &edges)
    }

    /// The `k` skills that are trained on, the rows.
    pub fn training(&self) -> &[String] {
        &self.training
    }

    /// The training skills, shared.
    pub(crate) fn shared_training(&self) -> Arc<[String]> {
        Arc::clone(&self.training)
    }

    /// The `m` skills that are evaluated, the columns.
    pub fn evaluation(&self) -> &[String] {
        &self.evaluation
    }

    /// The rows of `A`, `m` edges each.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f64]> {
        self.edges.chunks_exact(self.evaluation.len())
    }

    /// The edge from a training to an evaluation skill, by their places.
    pub fn edge(&self, training: usize, evaluation: usize) -> f64 {
        self.edges[training * self.evaluation.len() + evaluation]
    }

    /// Whether each skill helps any that is evaluated: `A[i, j] > 0` for some `j`.
    pub fn prerequisites(&self) -> Vec<bool> {
        self.rows()
            .map(|row| row.iter().any(|edge| *edge > 0.0))
            .collect()
    }

    /// The graph with edges between different skills halved, if all its edges are 0 or 1, and the
    /// graph itself otherwise.
    ///
    /// Whoever draws a graph by hand writes 1 for "helps", and a skill helps itself more than it
    /// helps another. The reference code does the same by place in the matrix, also to single ones
    /// among other numbers; here a skill is the same by name, and measured edges stay as they are.
    pub fn with_halved_ones(mut self) -> Self {
        if self.edges.iter().any(|edge| *edge != 0.0 && *edge != 1.0) {
            return self;
        }
        let rows = self.edges.chunks_exact_mut(self.evaluation.len());
        for (row, training) in rows.zip(self.training.iter()) {
            for (edge, evaluation) in row.iter_mut().zip(self.evaluation.iter()) {
                if training != evaluation {
                    *edge /= 2.0;
                }
            }
        }
        self
    }

    /// `A · losses`, an entry a training skill: each row's products added from left to right.
    pub(crate) fn times(&self, losses: &[f64]) -> Vec<f64> {
        let product = |row: &[f64]| row.iter().zip(losses).fold(0.0, |sum, (a, l)| sum + a * l);
        self.rows().map(product).collect()
    }
}

fn check_skills(side: &'static str, skills: &[String]) -> Result<(), GraphError> {
    if skills.is_empty() {
        return Err(GraphError::NoSkills { side });
    }
    if skills.len() > SKILLS_MAX {
        return Err(GraphError::TooManySkills {
            side,
            found: skills.len(),
            most: SKILLS_MAX,
        });
    }
    let mut seen = HashSet::new();
    for (place, skill) in skills.iter().enumerate() {
        check_name(skill).map_err(|reason| GraphError::Name {
            side,
            place: place + 1,
            reason,
        })?;
        if !seen.insert(skill) {
            return Err(GraphError::Twice {
                side,
                place: place + 1,
                skill: skill.clone(),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
