//! What can be wrong with a graph, and where.

use std::fmt;

use super::NAME_BYTES_MAX;

/// Why a text or a matrix is no graph.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum GraphError {
    /// The text is no JSON object of the right fields.
    #[error(
        "this is no graph: {reason}; expected {{\"training\": [\"name\", …], \"evaluation\": \
         [\"name\", …], \"edges\": [[number, …], …]}}"
    )]
    Json {
        /// What the parser says, with line and column.
        reason: String,
    },
    /// The text is no table.
    #[error("this is no table of comma-separated values: {reason}")]
    Csv {
        /// What the parser says, with the line.
        reason: String,
    },
    /// One side has no skills.
    #[error("the graph has no {side} skills")]
    NoSkills {
        /// `training` or `evaluation`.
        side: &'static str,
    },
    /// One side has too many skills.
    #[error("the graph has {found} {side} skills, more than the {most} that are supported")]
    TooManySkills {
        /// `training` or `evaluation`.
        side: &'static str,
        /// How many there are.
        found: usize,
        /// How many there may be.
        most: usize,
    },
    /// The matrix is too large.
    #[error(
        "{training} training skills by {evaluation} evaluation skills are more than the {most} \
         edges that are supported"
    )]
    TooManyEdges {
        /// Rows.
        training: usize,
        /// Columns.
        evaluation: usize,
        /// Most edges.
        most: usize,
    },
    /// A skill may not be called so.
    #[error("{side} skill {place}: {reason}")]
    Name {
        /// `training` or `evaluation`.
        side: &'static str,
        /// Which skill, from 1.
        place: usize,
        /// What is wrong with its name.
        reason: String,
    },
    /// A skill stands twice on one side.
    #[error("{side} skill {place}, {skill:?}, is given twice")]
    Twice {
        /// `training` or `evaluation`.
        side: &'static str,
        /// Which skill, from 1.
        place: usize,
        /// Its name.
        skill: String,
    },
    /// The matrix has another number of rows than there are training skills.
    #[error("the graph has {found} rows of edges and {expected} training skills")]
    Rows {
        /// Rows that there are.
        found: usize,
        /// Rows that there should be.
        expected: usize,
    },
    /// A row has another number of edges than there are evaluation skills.
    #[error("row {row} ({skill:?}) has {found} edges, and there are {expected} evaluation skills")]
    RowLength {
        /// Which row, from 1.
        row: usize,
        /// Its training skill.
        skill: String,
        /// Edges that it has.
        found: usize,
        /// Edges that it should have.
        expected: usize,
    },
    /// An edge is not written as a number.
    #[error("{place}: {text:?} is no number")]
    NotANumber {
        /// Which edge.
        place: Place,
        /// What stands there.
        text: String,
    },
    /// An edge is infinite, not a number, or too large.
    #[error("{place}: {value} is no edge; edges are finite and at most {most}")]
    Edge {
        /// Which edge.
        place: Place,
        /// Its value.
        value: f64,
        /// The largest.
        most: f64,
    },
}

/// Where an edge stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    row: usize,
    training: String,
    column: usize,
    evaluation: String,
}

impl Place {
    /// The edge between the skills at these places, from 0.
    pub(super) fn of(
        row: usize,
        column: usize,
        training: &[String],
        evaluation: &[String],
    ) -> Self {
        Place {
            row: row + 1,
            training: training[row].clone(),
            column: column + 1,
            evaluation: evaluation[column].clone(),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        let Place {
            row,
            training,
            column,
            evaluation,
        } = self;
        write!(
            out,
            "row {row} ({training:?}), column {column} ({evaluation:?})"
        )
    }
}

/// Passes when a skill may be called so, and says otherwise why not.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    match name.len() {
        0 => Err("a skill's name is empty".into()),
        1..=NAME_BYTES_MAX => Ok(()),
        length => Err(format!(
            "a skill's name has {length} bytes, more than the {NAME_BYTES_MAX} that are supported"
        )),
    }
}
