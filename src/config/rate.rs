//! The part of a group that a stage keeps.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

const WHOLE: u32 = 1_000_000;

/// A rate in (0, 1], held in parts per million so that the kept band is computed in integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate(u32);

/// Why a number is no rate.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum RateError {
    /// The number is not in (0, 1].
    #[error("a rate must be greater than 0 and at most 1; it is {0}")]
    Range(f64),
    /// The number has more decimals than can be held.
    #[error("a rate has at most 6 decimals, so that it is exact in parts per million; it is {0}")]
    Decimals(f64),
}

impl Rate {
    /// The rate of so many parts per million.
    ///
    /// # Errors
    /// [`RateError::Range`] unless `ppm` is in 1..=1,000,000.
    pub fn from_ppm(ppm: u32) -> Result<Self, RateError> {
        if (1..=WHOLE).contains(&ppm) {
            Ok(Rate(ppm))
        } else {
            Err(RateError::Range(f64::from(ppm) / f64::from(WHOLE)))
        }
    }

    /// The rate in parts per million, in 1..=1,000,000.
    pub fn ppm(self) -> u32 {
        self.0
    }
}

impl TryFrom<f64> for Rate {
    type Error = RateError;

    fn try_from(rate: f64) -> Result<Self, RateError> {
        if !(rate > 0.0 && rate <= 1.0) {
            return Err(RateError::Range(rate));
        }
        match parts_per_million(rate) {
            Some(ppm) if ppm > 0 => Rate::from_ppm(ppm),
            _ => Err(RateError::Decimals(rate)),
        }
    }
}

/// The number in parts per million, if it is a decimal with at most 6 places, and not beyond 4,000.
pub(super) fn parts_per_million(number: f64) -> Option<u32> {
    let ppm = (number * f64::from(WHOLE)).round();
    // A division rounds correctly, so it gives the same double as the decimal it stands for.
    let exact = (0.0..=4e9).contains(&ppm) && ppm / f64::from(WHOLE) == number;
    exact.then_some(ppm as u32)
}

impl From<Rate> for f64 {
    fn from(rate: Rate) -> f64 {
        f64::from(rate.0) / f64::from(WHOLE)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", f64::from(*self))
    }
}

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64((*self).into())
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let rate = f64::deserialize(deserializer)?;
        Rate::try_from(rate).map_err(de::Error::custom)
    }
}

impl JsonSchema for Rate {
    fn schema_name() -> Cow<'static, str> {
        "Rate".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number", "exclusiveMinimum": 0, "maximum": 1, "multipleOf": 0.000001 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rate_of_six_decimals_is_held_exactly() {
        for ppm in 1..=WHOLE {
            let text = format!("{}.{:06}", ppm / WHOLE, ppm % WHOLE);
            let rate: f64 = text.parse().unwrap();
            assert_eq!(Rate::try_from(rate), Ok(Rate(ppm)), "{text}");
            assert_eq!(f64::from(Rate(ppm)), rate);
        }
    }

    #[test]
    fn other_numbers_are_refused() {
        for rate in [0.0, -0.5, 1.000001, f64::NAN, f64::INFINITY] {
            assert!(
                matches!(Rate::try_from(rate), Err(RateError::Range(_))),
                "{rate}"
            );
        }
        for rate in [0.1234567, 1e-7, 0.000_000_9, 1.0 / 3.0] {
            assert_eq!(Rate::try_from(rate), Err(RateError::Decimals(rate)));
        }
        assert!(Rate::from_ppm(0).is_err() && Rate::from_ppm(WHOLE + 1).is_err());
    }
}
