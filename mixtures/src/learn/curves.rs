//! The table of loss curves that a graph is learnt from.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Deserialize;

use super::LearnError;
use crate::graph::check_name;

/// Most rows of a table.
const ROWS_MAX: usize = 1 << 24;

/// Losses measured while models were trained on one skill, or on two together.
///
/// A row is one loss: `trained` and `with`, the skill or the two skills trained on (`with` may be
/// left out; with both empty, the loss is the untrained model's), `skill`, the one evaluated,
/// `step`, how many steps were trained, and `loss` in nats.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curves {
    training: Names,
    evaluation: Names,
    /// By what was trained on and evaluation skill: the loss after each number of steps.
    curves: HashMap<(Trained, usize), BTreeMap<u64, f64>>,
}

/// What a model was trained on, by the skills' places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Trained {
    Nothing,
    One(usize),
    /// The first is below the second.
    Two(usize, usize),
}

impl Trained {
    /// Training on both; a skill beside itself is that skill.
    pub(super) fn two(a: usize, b: usize) -> Self {
        if a == b {
            Trained::One(a)
        } else {
            Trained::Two(a.min(b), a.max(b))
        }
    }
}

/// Names in the order of their first mention.
#[derive(Clone, Debug, Default, PartialEq)]
struct Names {
    names: Vec<String>,
    places: HashMap<String, usize>,
}

impl Names {
    fn place(&mut self, name: &str) -> Result<usize, String> {
        if let Some(place) = self.places.get(name) {
            return Ok(*place);
        }
        check_name(name)?;
        let place = self.names.len();
        self.places.insert(name.to_owned(), place);
        self.names.push(name.to_owned());
        Ok(place)
    }
}

/// Why a text is no table of loss curves.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CurveError {
    /// A line or a cell does not parse.
    #[error(
        "{0}; expected the columns trained, with (which may be left out), skill, step and loss"
    )]
    Unreadable(String),
    /// A row's values cannot be used.
    #[error("row {row}: {reason}")]
    Row {
        /// Which row, from 1, the header not counted.
        row: usize,
        /// What is wrong.
        reason: String,
    },
}

#[derive(Deserialize)]
struct Row {
    #[serde(default)]
    trained: Option<String>,
    #[serde(default)]
    with: Option<String>,
    skill: String,
    step: u64,
    loss: f64,
}

impl Curves {
    /// The curves of comma-separated values with a header that names the columns.
    ///
    /// # Errors
    /// [`CurveError`], with the row.
    pub fn from_csv(text: &str) -> Result<Self, CurveError> {
        let mut reader = csv::ReaderBuilder::new()
            .trim(csv::Trim::All)
            .from_reader(text.trim_start_matches('\u{feff}').as_bytes());
        Curves::collect(reader.deserialize().map(|row: Result<Row, csv::Error>| {
            row.map_err(|error| CurveError::Unreadable(error.to_string()))
        }))
    }

    /// The curves of JSON lines, an object a row with the columns as fields.
    ///
    /// # Errors
    /// [`CurveError`], with the row or line.
    pub fn from_json_lines(text: &str) -> Result<Self, CurveError> {
        let lines = text.lines().enumerate();
        let lines = lines.filter(|(_, line)| !line.trim().is_empty());
        Curves::collect(lines.map(|(number, line)| {
            serde_json::from_str(line)
                .map_err(|error| CurveError::Unreadable(format!("line {}: {error}", number + 1)))
        }))
    }

    fn collect(rows: impl Iterator<Item = Result<Row, CurveError>>) -> Result<Self, CurveError> {
        let mut curves = Curves::default();
        for (number, row) in (1..).zip(rows) {
            let wrong = |reason| CurveError::Row {
                row: number,
                reason,
            };
            if number > ROWS_MAX {
                return Err(wrong(format!(
                    "more rows than the {ROWS_MAX} that are supported"
                )));
            }
            curves.add(&row?).map_err(wrong)?;
        }
        Ok(curves)
    }

    fn add(&mut self, row: &Row) -> Result<(), String> {
        if !(row.loss.is_finite() && row.loss >= 0.0) {
            return Err(format!(
                "the loss is {}, and must be finite and not negative",
                row.loss
            ));
        }
        let named = |name: &Option<String>| name.clone().filter(|name| !name.is_empty());
        let trained = match (named(&row.trained), named(&row.with)) {
            (None, None) => Trained::Nothing,
            (Some(one), None) => Trained::One(self.training.place(&one)?),
            (Some(a), Some(b)) => Trained::two(self.training.place(&a)?, self.training.place(&b)?),
            (None, Some(_)) => return Err("\"with\" names a skill and \"trained\" none".into()),
        };
        let skill = self.evaluation.place(&row.skill)?;
        let curve = self.curves.entry((trained, skill)).or_default();
        if curve.insert(row.step, row.loss).is_some() {
            let (trained, step) = (self.name(trained), row.step);
            let skill = &row.skill;
            return Err(format!(
                "the loss on {skill:?} after {step} steps on {trained} is given twice"
            ));
        }
        Ok(())
    }

    /// The skills trained on, in the order of the table.
    pub fn training(&self) -> &[String] {
        &self.training.names
    }

    /// The skills evaluated, in the order of the table.
    pub fn evaluation(&self) -> &[String] {
        &self.evaluation.names
    }

    /// Where an evaluation skill stands among those that are trained on.
    pub(super) fn training_place(&self, evaluation: usize) -> Option<usize> {
        let name = &self.evaluation.names[evaluation];
        self.training.places.get(name).copied()
    }

    /// The error for an evaluation skill that nothing was trained on.
    pub(super) fn never_trained(&self, evaluation: usize) -> LearnError {
        let skill = &self.evaluation.names[evaluation];
        LearnError::NoCurve {
            trained: format!("{skill:?}"),
            skill: skill.clone(),
        }
    }

    /// The number of steps to compare at: those asked for, or the most that all `needed` curves
    /// have.
    pub(super) fn steps(
        &self,
        asked: Option<u64>,
        needed: &[(Trained, usize)],
    ) -> Result<u64, LearnError> {
        let mut common: Option<BTreeSet<u64>> = None;
        for key in needed {
            let (trained, skill) = self.describe(*key);
            let Some(curve) = self.curves.get(key) else {
                return Err(LearnError::NoCurve { trained, skill });
            };
            if let Some(steps) = asked.filter(|steps| !curve.contains_key(steps)) {
                return Err(LearnError::NoStep {
                    trained,
                    skill,
                    steps,
                });
            }
            match &mut common {
                None => common = Some(curve.keys().copied().filter(|step| *step > 0).collect()),
                Some(common) => common.retain(|step| curve.contains_key(step)),
            }
        }
        let most = common.and_then(|steps| steps.last().copied());
        asked.or(most).ok_or(LearnError::NoCommonStep)
    }

    /// The loss after a number of steps that [`Self::steps`] gave.
    pub(super) fn loss(&self, curve: (Trained, usize), steps: u64) -> f64 {
        self.curves[&curve][&steps]
    }

    /// The loss before training: the curve's own, or else the untrained model's.
    pub(super) fn start(&self, curve: (Trained, usize)) -> Result<f64, LearnError> {
        let at_start = |key| self.curves.get(&key).and_then(|curve| curve.get(&0));
        let loss = at_start(curve).or_else(|| at_start((Trained::Nothing, curve.1)));
        loss.copied().ok_or_else(|| {
            let (trained, skill) = self.describe(curve);
            LearnError::NoStart { trained, skill }
        })
    }

    fn describe(&self, (trained, skill): (Trained, usize)) -> (String, String) {
        (self.name(trained), self.evaluation.names[skill].clone())
    }

    fn name(&self, trained: Trained) -> String {
        let name = |place: usize| &self.training.names[place];
        match trained {
            Trained::Nothing => "nothing".into(),
            Trained::One(one) => format!("{:?}", name(one)),
            Trained::Two(a, b) => format!("{:?} and {:?}", name(a), name(b)),
        }
    }
}
