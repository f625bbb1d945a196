//! The steps in which a density stage counts a crowd.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::rate::parts_per_million;

const LEAST_PPM: u32 = 100_000;
const MOST_PPM: u32 = 10_000_000;

/// ε in [0.1, 10], held in parts per million so that every machine computes the same densities.
///
/// A count is rounded down to a power of 1 + ε.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epsilon(u32);

impl Epsilon {
    /// ε in parts per million.
    pub fn ppm(self) -> u32 {
        self.0
    }
}

impl Default for Epsilon {
    /// Counts are rounded down to powers of two.
    fn default() -> Self {
        Epsilon(1_000_000)
    }
}

impl From<Epsilon> for f64 {
    fn from(epsilon: Epsilon) -> f64 {
        f64::from(epsilon.0) / 1e6
    }
}

impl Serialize for Epsilon {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64((*self).into())
    }
}

impl<'de> Deserialize<'de> for Epsilon {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let epsilon = f64::deserialize(deserializer)?;
        let ppm = parts_per_million(epsilon).filter(|ppm| (LEAST_PPM..=MOST_PPM).contains(ppm));
        ppm.map(Epsilon).ok_or_else(|| {
            de::Error::custom(format_args!(
                "{epsilon} is not a number from 0.1 to 10 with at most 6 decimals"
            ))
        })
    }
}

impl JsonSchema for Epsilon {
    fn schema_name() -> Cow<'static, str> {
        "Epsilon".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number", "minimum": 0.1, "maximum": 10, "multipleOf": 0.000001 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epsilon_is_held_exactly_or_refused() {
        let read = |text: &str| serde_json::from_str::<Epsilon>(text).map(Epsilon::ppm);
        for (text, ppm) in [("1.0", 1_000_000), ("0.1", 100_000), ("0.693147", 693_147)] {
            assert_eq!(read(text).unwrap(), ppm);
        }
        for text in ["0.099999", "10.1", "0.1234567", "-1.0", "1e300"] {
            assert!(read(text).is_err(), "{text}");
        }
        assert_eq!(serde_json::to_string(&Epsilon::default()).unwrap(), "1.0");
    }
}
