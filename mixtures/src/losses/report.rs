//! A trainer's report of one loss.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::graph::check_name;

/// Largest loss, in nats. A model without any idea of a million words has 14.
const LOSS_MAX: f64 = 1e9;
/// Longest name of a run, in bytes.
const RUN_BYTES_MAX: usize = 256;

/// When in a run an evaluation was made. A run counts rounds or steps; should one count both, its
/// steps come after its rounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mark {
    /// The number of the round that it ends.
    Round(u64),
    /// The number of optimiser steps before it.
    Step(u64),
}

/// One loss of one evaluation. Run, mark and skill identify it: of several reports with the same,
/// the last is in effect.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The run; empty where the trainer names none.
    pub run: String,
    /// When the evaluation was made.
    pub mark: Mark,
    /// The evaluation skill.
    pub skill: String,
    /// The loss, or `None` for a report that takes an earlier one back.
    pub loss: Option<f64>,
}

/// Why a record is no report.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ReportError {
    /// The record is no JSON object.
    #[error("a report of a loss is a JSON object: {0}")]
    NotAnObject(String),
    /// A field that must be there is not.
    #[error("a report of a loss needs {0:?}")]
    Missing(&'static str),
    /// A field is of the wrong kind or outside its limits.
    #[error("{field:?} is {value}, and must be {expected}")]
    Field {
        /// The field.
        field: &'static str,
        /// Its value, shortened.
        value: String,
        /// What may stand there.
        expected: &'static str,
    },
    /// The record says neither round nor step.
    #[error("a report of a loss needs \"round\" or \"step\"")]
    NoMark,
    /// The record says round and step.
    #[error("a report of a loss has either \"round\" or \"step\", and this one has both")]
    TwoMarks,
}

impl Report {
    /// The report of a record
    /// `{"run": "r1", "round": 3, "skill": "name", "loss": 1.25}`: `run` may be left out, `step` may
    /// stand in place of `round`, and a loss of `null` takes an earlier report back. Other fields
    /// are not looked at.
    ///
    /// # Errors
    /// [`ReportError`], with the field and its value.
    pub fn parse(record: &[u8]) -> Result<Self, ReportError> {
        let fields = object(record)?;
        let loss = match fields.get("loss") {
            None => return Err(ReportError::Missing("loss")),
            Some(Value::Null) => None,
            Some(value) => Some(loss(value)?),
        };
        Report::of_fields(&fields, loss)
    }

    /// The report that a tombstone stands for: a record without a value, whose key is a report
    /// without its loss, as [`Report::key`] writes it. It takes the report of that key back.
    ///
    /// # Errors
    /// As [`Report::parse`].
    pub fn parse_tombstone(key: &[u8]) -> Result<Self, ReportError> {
        Report::of_fields(&object(key)?, None)
    }

    /// The report's identity as the key of its record: `{"run":"r1","round":3,"skill":"name"}`.
    pub fn key(&self) -> String {
        #[derive(Serialize)]
        struct Key<'a> {
            run: &'a str,
            #[serde(flatten)]
            mark: Mark,
            skill: &'a str,
        }
        let key = Key {
            run: &self.run,
            mark: self.mark,
            skill: &self.skill,
        };
        serde_json::to_string(&key).expect("texts and numbers become JSON")
    }

    fn of_fields(fields: &Map<String, Value>, loss: Option<f64>) -> Result<Self, ReportError> {
        let run = match fields.get("run") {
            None => String::new(),
            Some(Value::String(run)) if run.len() <= RUN_BYTES_MAX => run.clone(),
            Some(value) => return Err(unexpected("run", value, "a text of at most 256 bytes")),
        };
        let skill = match fields.get("skill") {
            None => return Err(ReportError::Missing("skill")),
            Some(Value::String(skill)) if check_name(skill).is_ok() => skill.clone(),
            Some(value) => return Err(unexpected("skill", value, "a text of 1 to 256 bytes")),
        };
        let mark = match (fields.get("round"), fields.get("step")) {
            (None, None) => return Err(ReportError::NoMark),
            (Some(_), Some(_)) => return Err(ReportError::TwoMarks),
            (Some(round), None) => Mark::Round(whole("round", round)?),
            (None, Some(step)) => Mark::Step(whole("step", step)?),
        };
        Ok(Report {
            run,
            mark,
            skill,
            loss,
        })
    }
}

fn object(record: &[u8]) -> Result<Map<String, Value>, ReportError> {
    serde_json::from_slice(record).map_err(|error| ReportError::NotAnObject(error.to_string()))
}

fn whole(field: &'static str, value: &Value) -> Result<u64, ReportError> {
    let number = value.as_u64();
    number.ok_or_else(|| unexpected(field, value, "a whole number from 0 on"))
}

fn loss(value: &Value) -> Result<f64, ReportError> {
    match value.as_f64() {
        Some(loss) if (0.0..=LOSS_MAX).contains(&loss) => Ok(loss),
        _ => Err(unexpected(
            "loss",
            value,
            "a number from 0 to a billion, or null",
        )),
    }
}

fn unexpected(field: &'static str, value: &Value, expected: &'static str) -> ReportError {
    let mut value = value.to_string();
    if let Some((cut, _)) = value.char_indices().nth(40) {
        value.truncate(cut);
        value.push('…');
    }
    ReportError::Field {
        field,
        value,
        expected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(loss: Option<f64>, mark: Mark) -> Report {
        Report {
            run: "r1".into(),
            mark,
            skill: "a\"b".into(),
            loss,
        }
    }

    #[test]
    fn a_record_is_read_in_every_form() {
        let parse = |text: &str| Report::parse(text.as_bytes());
        assert_eq!(
            parse(r#"{"run": "r1", "round": 3, "skill": "a\"b", "loss": 1.25, "time": "noon"}"#),
            Ok(report(Some(1.25), Mark::Round(3)))
        );
        let by_step = r#"{"run": "r1", "step": 3000, "skill": "a\"b", "loss": 2}"#;
        assert_eq!(parse(by_step), Ok(report(Some(2.0), Mark::Step(3000))));
        let back = r#"{"run": "r1", "round": 0, "skill": "a\"b", "loss": null}"#;
        assert_eq!(parse(back), Ok(report(None, Mark::Round(0))));
        assert_eq!(
            parse(r#"{"round": 3, "skill": "a", "loss": 0}"#)
                .unwrap()
                .run,
            ""
        );
    }

    #[test]
    fn a_tombstone_takes_back_the_report_of_its_key() {
        for mark in [Mark::Round(7), Mark::Step(u64::MAX)] {
            let key = report(Some(1.0), mark).key();
            assert_eq!(
                Report::parse_tombstone(key.as_bytes()),
                Ok(report(None, mark)),
                "{key}"
            );
        }
        assert!(Report::parse_tombstone(b"r1-3-a").is_err());
    }

    #[test]
    fn what_is_no_report_is_told_with_field_and_value() {
        let message = |text: &str| Report::parse(text.as_bytes()).unwrap_err().to_string();
        assert!(message("[1]").starts_with("a report of a loss is a JSON object"));
        assert!(
            message(r#"{"loss": NaN}"#).contains("line 1"),
            "{}",
            message(r#"{"loss": NaN}"#)
        );
        assert_eq!(
            message(r#"{"round": 1, "skill": "a"}"#),
            r#"a report of a loss needs "loss""#
        );
        assert_eq!(
            message(r#"{"round": 1, "loss": 1}"#),
            r#"a report of a loss needs "skill""#
        );
        assert_eq!(
            message(r#"{"skill": "a", "loss": 1}"#),
            r#"a report of a loss needs "round" or "step""#
        );
        assert!(message(r#"{"skill": "a", "loss": 1, "round": 1, "step": 1}"#).contains("both"));
        for (field, value) in [
            ("loss", "-0.5"),
            ("loss", "1e10"),
            ("loss", "\"1\""),
            ("round", "-1"),
            ("round", "1.5"),
            ("round", "null"),
            ("skill", "7"),
            ("skill", "\"\""),
            ("run", "[]"),
        ] {
            let mut fields = object(br#"{"round": 1, "skill": "a", "loss": 1}"#).unwrap();
            fields.insert(field.into(), serde_json::from_str(value).unwrap());
            let text = Value::Object(fields).to_string();
            assert!(
                message(&text).starts_with(&format!("\"{field}\" is ")),
                "{text}"
            );
        }
        let long = format!(
            r#"{{"round": 1, "skill": "{}", "loss": 1}}"#,
            "é".repeat(200)
        );
        assert!(message(&long).contains('…') && message(&long).len() < 200);
    }
}
