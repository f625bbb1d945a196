//! A mixture: the share of each skill, in integers.

use std::sync::Arc;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use crate::Mark;

/// What a mixture's weights add to: they are parts of a billion.
pub const WHOLE: u64 = 1_000_000_000;

/// The share of each training skill in what is trained on next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mixture {
    skills: Arc<[String]>,
    weights: Vec<u64>,
    follows: Option<Mark>,
}

impl Mixture {
    /// A mixture of these weights, one a skill, which add to [`WHOLE`].
    pub(crate) fn new(skills: Arc<[String]>, weights: Vec<u64>, follows: Option<Mark>) -> Self {
        debug_assert_eq!(skills.len(), weights.len());
        debug_assert_eq!(weights.iter().sum::<u64>(), WHOLE);
        Mixture {
            skills,
            weights,
            follows,
        }
    }

    /// The training skills in the graph's order.
    pub fn skills(&self) -> &[String] {
        &self.skills
    }

    /// The weight of each skill in parts of [`WHOLE`], which they add to, in the graph's order.
    pub fn weights(&self) -> &[u64] {
        &self.weights
    }

    /// Each skill with its weight in parts of [`WHOLE`], in the graph's order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, u64)> {
        let names = self.skills.iter().map(String::as_str);
        names.zip(self.weights.iter().copied())
    }

    /// The last evaluation that the mixture depends on; `None` before the first complete one, and
    /// for methods that depend on none.
    pub fn follows(&self) -> Option<Mark> {
        self.follows
    }

    /// The mixture as an object of shares by skill, `{"name": 0.25, …}`; a share times a billion,
    /// rounded, is the weight again.
    pub fn shares(&self) -> impl Serialize {
        Shares(self)
    }
}

struct Shares<'a>(&'a Mixture);

impl Serialize for Shares<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.weights.len()))?;
        for (skill, weight) in self.0.iter() {
            map.serialize_entry(skill, &(weight as f64 / WHOLE as f64))?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_keep_the_order_and_give_the_weights_back() {
        let skills: Arc<[String]> = ["b".to_owned(), "a".to_owned()].into();
        let mixture = Mixture::new(skills, vec![333_333_333, 666_666_667], Some(Mark::Round(3)));
        let json = serde_json::to_string(&mixture.shares()).unwrap();
        assert_eq!(json, r#"{"b":0.333333333,"a":0.666666667}"#);
        for weight in (0..WHOLE).step_by(9_999_991) {
            let share = weight as f64 / WHOLE as f64;
            assert_eq!((share * WHOLE as f64).round() as u64, weight);
        }
    }
}
