//! The reports of a run that are in effect, and the evaluations that they make complete.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Mark, Report};

/// Most losses held, those of incomplete evaluations as if they were complete: 128 MiB.
const LOSSES_MAX: usize = 1 << 24;

/// The reports of one run that are in effect.
///
/// What it answers is a function of these alone: of several reports of one identity the last one,
/// unless that took it back. An evaluation is what was reported of one mark, and counts once each
/// evaluation skill has been, however late the last of them.
#[derive(Clone, Debug)]
pub struct Losses {
    run: String,
    /// Where each evaluation skill stands in the graph.
    places: HashMap<String, usize>,
    evaluations: BTreeMap<Mark, Evaluation>,
    complete: BTreeSet<Mark>,
    losses_max: usize,
}

#[derive(Clone, Debug)]
struct Evaluation {
    /// By evaluation skill; NaN where there is no report.
    losses: Vec<f64>,
    missing: usize,
}

/// What a report did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It is in effect now, or took back one that was.
    Changed,
    /// It says what was known: a repetition, or it takes back what was not there.
    Unchanged,
    /// It is of another run, and ignored.
    OtherRun,
    /// The graph evaluates no such skill, and it is ignored.
    UnknownSkill,
}

/// A report for which there is no room.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "run {run:?} has reports of {evaluations} evaluations, as many as are held; take old ones back, \
     or begin another run"
)]
pub struct TooManyReports {
    /// The run.
    pub run: String,
    /// How many evaluations are held.
    pub evaluations: usize,
}

/// The evaluations that a mixture depends on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evaluations<'a> {
    /// The last complete ones, the last one last; a loss an evaluation skill, in the graph's order.
    pub window: Vec<&'a [f64]>,
    /// The first complete one of the run, which normalisation and the step's schedule divide by.
    pub first: Option<&'a [f64]>,
    /// When the last complete one was made.
    pub last: Option<Mark>,
}

impl Losses {
    /// No reports yet, of this run and these evaluation skills.
    pub fn new(run: &str, evaluation: &[String]) -> Self {
        let places = evaluation.iter().cloned().zip(0..).collect();
        Losses {
            run: run.to_owned(),
            places,
            evaluations: BTreeMap::new(),
            complete: BTreeSet::new(),
            losses_max: LOSSES_MAX,
        }
    }

    /// The run whose reports count.
    pub fn run(&self) -> &str {
        &self.run
    }

    /// Takes a report in, and says what it did.
    ///
    /// # Errors
    /// [`TooManyReports`] for one of yet another evaluation where 2²⁴ losses are held; it is
    /// ignored.
    pub fn apply(&mut self, report: &Report) -> Result<Applied, TooManyReports> {
        if report.run != self.run {
            return Ok(Applied::OtherRun);
        }
        let Some(place) = self.places.get(&report.skill).copied() else {
            return Ok(Applied::UnknownSkill);
        };
        let changed = match report.loss {
            Some(loss) => self.report(report.mark, place, loss)?,
            None => self.take_back(report.mark, place),
        };
        Ok(if changed {
            Applied::Changed
        } else {
            Applied::Unchanged
        })
    }

    /// The last `window` complete evaluations, and the first.
    pub fn evaluations(&self, window: usize) -> Evaluations<'_> {
        let losses = |mark: &Mark| &self.evaluations[mark].losses[..];
        let mut last: Vec<&[f64]> = self
            .complete
            .iter()
            .rev()
            .take(window)
            .map(losses)
            .collect();
        last.reverse();
        if last.is_empty() {
            return Evaluations::default();
        }
        Evaluations {
            window: last,
            first: self.complete.first().map(losses),
            last: self.complete.last().copied(),
        }
    }

    /// How many evaluations are complete, and how many still miss a skill.
    pub fn counts(&self) -> (usize, usize) {
        let complete = self.complete.len();
        (complete, self.evaluations.len() - complete)
    }

    fn report(&mut self, mark: Mark, place: usize, loss: f64) -> Result<bool, TooManyReports> {
        let skills = self.places.len();
        let held = self.evaluations.len();
        let full = (held + 1) * skills > self.losses_max;
        if full && !self.evaluations.contains_key(&mark) {
            return Err(TooManyReports {
                run: self.run.clone(),
                evaluations: held,
            });
        }
        let empty = || Evaluation {
            losses: vec![f64::NAN; skills],
            missing: skills,
        };
        let evaluation = self.evaluations.entry(mark).or_insert_with(empty);
        let before = std::mem::replace(&mut evaluation.losses[place], loss);
        if before.is_nan() {
            evaluation.missing -= 1;
            if evaluation.missing == 0 {
                self.complete.insert(mark);
            }
        }
        Ok(before != loss)
    }

    fn take_back(&mut self, mark: Mark, place: usize) -> bool {
        let Some(evaluation) = self.evaluations.get_mut(&mark) else {
            return false;
        };
        let before = std::mem::replace(&mut evaluation.losses[place], f64::NAN);
        if before.is_nan() {
            return false;
        }
        evaluation.missing += 1;
        self.complete.remove(&mark);
        if evaluation.missing == evaluation.losses.len() {
            self.evaluations.remove(&mark);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn losses() -> Losses {
        Losses::new("r", &["a".to_owned(), "b".to_owned()])
    }

    fn report(round: u64, skill: &str, loss: impl Into<Option<f64>>) -> Report {
        Report {
            run: "r".into(),
            mark: Mark::Round(round),
            skill: skill.into(),
            loss: loss.into(),
        }
    }

    #[test]
    fn an_evaluation_counts_once_its_last_part_arrives_and_until_one_is_taken_back() {
        let mut losses = losses();
        assert_eq!(losses.evaluations(2), Evaluations::default());
        for (round, skill, loss) in [(2, "a", 1.0), (1, "b", 4.0), (2, "b", 2.0)] {
            assert_eq!(
                losses.apply(&report(round, skill, loss)),
                Ok(Applied::Changed)
            );
        }
        assert_eq!(losses.evaluations(2).window, [&[1.0, 2.0]]);
        assert_eq!(losses.counts(), (1, 1));
        // The first round's other part is late.
        losses.apply(&report(1, "a", 3.0)).unwrap();
        let evaluations = losses.evaluations(2);
        assert_eq!(evaluations.window, [&[3.0, 4.0], &[1.0, 2.0]]);
        assert_eq!(evaluations.first, Some(&[3.0, 4.0][..]));
        assert_eq!(evaluations.last, Some(Mark::Round(2)));
        losses.apply(&report(2, "a", None)).unwrap();
        assert_eq!(losses.evaluations(2).last, Some(Mark::Round(1)));
        assert_eq!(losses.counts(), (1, 1));
        losses.apply(&report(2, "b", None)).unwrap();
        assert_eq!(losses.counts(), (1, 0));
    }

    #[test]
    fn of_several_reports_the_last_is_in_effect() {
        let mut losses = losses();
        let applied: Vec<Applied> = [
            report(1, "a", 1.0),
            report(1, "a", 1.0),
            report(1, "a", 2.0),
            report(1, "b", None),
            report(1, "b", 0.0),
            report(1, "c", 0.0),
            Report {
                run: "other".into(),
                ..report(1, "a", 9.0)
            },
        ]
        .iter()
        .map(|it| losses.apply(it).unwrap())
        .collect();
        use Applied::*;
        let expected = [
            Changed,
            Unchanged,
            Changed,
            Unchanged,
            Changed,
            UnknownSkill,
            OtherRun,
        ];
        assert_eq!(applied, expected);
        assert_eq!(losses.evaluations(1).window, [&[2.0, 0.0]]);
    }

    #[test]
    fn a_report_beyond_the_limit_is_refused_and_one_taken_back_makes_room() {
        let mut losses = losses();
        losses.losses_max = 4;
        for round in [1, 2] {
            losses.apply(&report(round, "a", 1.0)).unwrap();
        }
        let error = losses.apply(&report(3, "a", 1.0)).unwrap_err().to_string();
        assert!(
            error.starts_with("run \"r\" has reports of 2 evaluations"),
            "{error}"
        );
        assert_eq!(losses.apply(&report(2, "b", 1.0)), Ok(Applied::Changed));
        losses.apply(&report(1, "a", None)).unwrap();
        assert_eq!(losses.apply(&report(3, "a", 1.0)), Ok(Applied::Changed));
    }
}
