//! A document as a pipeline reads it: facts alone, or with codes where a stage by density stands.
//!
//! Codes are ten times as large as the facts, so a pipeline that does not count them has none.

use operators::Change;
use timely::ExchangeData;
use timely::dataflow::StreamVec;

use super::coded::Coded;
use super::facts::{Facts, FactsError, Reading};
use super::mixture::Reported;
use super::publish::Outcome;
use super::rules::Rules;
use super::stages::{sample_by, select_by};
use crate::config::Sketch;
use crate::records::Scored;

/// What a pipeline needs to know of a document, and what it does with all of them.
pub trait Document: Clone + Default + ExchangeData {
    /// The document with these facts, of this scored record.
    ///
    /// # Errors
    /// [`FactsError`] when the record lacks what is needed.
    fn of(facts: Facts, scored: &Scored<'_>, reading: &Reading) -> Result<Self, FactsError>;

    /// The same document from its facts and codes.
    fn restored(facts: Facts, codes: impl Iterator<Item = u16>) -> Self;

    /// What all stages see.
    fn facts(&self) -> &Facts;

    /// What the sketch counts; nothing where no stage does.
    fn codes(&self) -> &[u16];

    /// The same, to be changed.
    fn facts_mut(&mut self) -> &mut Facts;

    /// What the rules keep of the live documents under what a trainer reports, as outcomes to
    /// publish; `first` is the number of the first epoch.
    fn keep<'s>(
        live: StreamVec<'s, u64, Change<Self>>,
        reports: StreamVec<'s, u64, Reported>,
        rules: &Rules,
        first: u64,
    ) -> StreamVec<'s, u64, Outcome>;
}

impl Document for Facts {
    fn of(facts: Facts, _: &Scored<'_>, _: &Reading) -> Result<Self, FactsError> {
        Ok(facts)
    }

    fn restored(facts: Facts, _: impl Iterator<Item = u16>) -> Self {
        facts
    }

    fn facts(&self) -> &Facts {
        self
    }

    fn codes(&self) -> &[u16] {
        &[]
    }

    fn facts_mut(&mut self) -> &mut Facts {
        self
    }

    fn keep<'s>(
        live: StreamVec<'s, u64, Change<Self>>,
        reports: StreamVec<'s, u64, Reported>,
        rules: &Rules,
        first: u64,
    ) -> StreamVec<'s, u64, Outcome> {
        select_by(live, reports, rules, first)
    }
}

impl Document for Coded {
    fn of(facts: Facts, scored: &Scored<'_>, reading: &Reading) -> Result<Self, FactsError> {
        let (found, wanted) = (scored.sketch, reading.fingerprint);
        if found != wanted {
            return Err(FactsError::Sketch { found, wanted });
        }
        let Sketch { rows, cells, .. } = reading.sketch;
        let sound = scored.codes.iter().all(|code| u32::from(code) < cells);
        if scored.codes.len() != usize::from(rows) || !sound {
            return Err(FactsError::Codes);
        }
        let codes = scored.codes.iter().collect();
        Ok(Coded { facts, codes })
    }

    fn restored(facts: Facts, codes: impl Iterator<Item = u16>) -> Self {
        let codes = codes.collect();
        Coded { facts, codes }
    }

    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn codes(&self) -> &[u16] {
        &self.codes
    }

    fn facts_mut(&mut self) -> &mut Facts {
        &mut self.facts
    }

    fn keep<'s>(
        live: StreamVec<'s, u64, Change<Self>>,
        reports: StreamVec<'s, u64, Reported>,
        rules: &Rules,
        first: u64,
    ) -> StreamVec<'s, u64, Outcome> {
        sample_by(live, reports, rules, first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curate::groups::Groups;
    use crate::records::Codes;

    #[test]
    fn codes_are_taken_from_the_configured_sketch_alone() {
        let sketch = Sketch {
            rows: 2,
            cells: 10,
            ..Sketch::default()
        };
        let reading = Reading::new(Groups::new([], None), sketch);
        let read = |sketch: u64, codes: &[u16]| {
            let codes = Codes::bytes_of(codes);
            let scored = Scored {
                mean_nll_nats: 2.5,
                tokens: 3,
                truncated: false,
                scorer: "test",
                sketch,
                codes: Codes::of_bytes(&codes).unwrap(),
                embedding: Vec::new(),
                quality: None,
                skill: None,
                document: b"{}",
            };
            Coded::of(Facts::default(), &scored, &reading).map(|coded| coded.codes.to_vec())
        };
        let print = reading.fingerprint;
        assert_eq!(read(print, &[3, 9]).unwrap(), [3, 9]);
        for sketch in [0, print ^ 1] {
            let error = read(sketch, &[3, 9]).unwrap_err();
            assert!(matches!(error, FactsError::Sketch { .. }), "{error}");
        }
        for codes in [&[3][..], &[3, 9, 1], &[3, 10]] {
            let error = read(print, codes).unwrap_err();
            assert!(matches!(error, FactsError::Codes), "{error}");
        }
    }
}
