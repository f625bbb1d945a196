//! Centroids of skills, and the nearest of them to an embedding.

use kernels::{EncoderConfig, ModelInfo};
use serde::{Deserialize, Serialize};

/// How many sums a product is added in. Its bits depend on this and on nothing of the machine: no
/// product is fused with a sum, and the sums are added in one order.
const LANES: usize = 16;

/// Which encoder embeddings come from. Those of another are vectors in another space.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncoderIdentity {
    /// The name of the model.
    pub name: String,
    /// How many weights it has.
    pub parameters: u64,
    /// Channels of an embedding.
    pub dimensions: usize,
}

impl EncoderIdentity {
    /// The identity of a loaded encoder.
    pub fn of(info: &ModelInfo, config: &EncoderConfig) -> Self {
        EncoderIdentity {
            name: info.name.clone(),
            parameters: info.parameters,
            dimensions: config.width,
        }
    }
}

/// A skill, as it was learnt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Skill {
    /// Its name; whoever reads its documents may give a better one.
    pub name: String,
    /// How many documents of the sample are nearest to it.
    #[serde(default)]
    pub documents: u64,
    /// The ids of some of these, the nearest first.
    #[serde(default)]
    pub nearest: Vec<String>,
    /// The mean of their embeddings.
    pub centroid: Vec<f32>,
}

/// Skills as the centroids of their documents' embeddings.
///
/// There is at least one, their names differ, and all have as many finite channels as the encoder's
/// embeddings.
#[derive(Clone, Debug, PartialEq)]
pub struct Centroids {
    encoder: EncoderIdentity,
    skills: Vec<Skill>,
    /// Half of each centroid's squared length.
    halves: Vec<f32>,
}

impl Centroids {
    /// The centroids of skills that [`super::file`] or [`super::fit()`] has checked or made.
    pub(super) fn of_checked(encoder: EncoderIdentity, skills: Vec<Skill>) -> Self {
        let half = |skill: &Skill| product(&skill.centroid, &skill.centroid) / 2.0;
        Centroids {
            encoder,
            halves: skills.iter().map(half).collect(),
            skills,
        }
    }

    /// The encoder whose embeddings these are centroids of.
    pub fn encoder(&self) -> &EncoderIdentity {
        &self.encoder
    }

    /// The skills.
    pub fn skills(&self) -> &[Skill] {
        &self.skills
    }

    /// The skill whose centroid is nearest to the embedding; of several equally near the first.
    ///
    /// The answer is the same on every machine, for the same bits of the embedding.
    ///
    /// # Panics
    /// When the embedding has another number of channels than [`EncoderIdentity::dimensions`].
    pub fn nearest(&self, embedding: &[f32]) -> &str {
        &self.skills[self.nearest_place(embedding).0].name
    }

    /// The place of the nearest skill, and how near it is: the larger, the nearer, for documents of
    /// one length.
    pub(super) fn nearest_place(&self, embedding: &[f32]) -> (usize, f32) {
        assert_eq!(
            embedding.len(),
            self.encoder.dimensions,
            "the encoder's embedding"
        );
        // Of |c - x|² only what differs between centroids is computed: x·c - |c|²/2.
        let nearness =
            |place: usize| product(embedding, &self.skills[place].centroid) - self.halves[place];
        (1..self.skills.len()).fold((0, nearness(0)), |best, place| {
            let near = nearness(place);
            if near > best.1 { (place, near) } else { best }
        })
    }
}

/// The inner product, added in [`LANES`] sums.
fn product(a: &[f32], b: &[f32]) -> f32 {
    let (a_lanes, a_rest) = a.as_chunks::<LANES>();
    let (b_lanes, b_rest) = b.as_chunks::<LANES>();
    let mut sums = [0.0f32; LANES];
    for (a, b) in a_lanes.iter().zip(b_lanes) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn centroids(values: &[Vec<f32>]) -> Centroids {
        let encoder = EncoderIdentity {
            name: "tiny".into(),
            parameters: 1,
            dimensions: values[0].len(),
        };
        let skill = |(place, centroid): (usize, &Vec<f32>)| Skill {
            name: place.to_string(),
            documents: 0,
            nearest: Vec::new(),
            centroid: centroid.clone(),
        };
        Centroids::of_checked(encoder, values.iter().enumerate().map(skill).collect())
    }

    #[test]
    fn of_equally_near_skills_the_first_is_taken() {
        let twins = centroids(&[
            vec![5.0, 5.0],
            vec![0.0, 1.0],
            vec![0.0, 1.0],
            vec![0.0, -1.0],
        ]);
        assert_eq!(twins.nearest(&[0.0, 0.0]), "1");
        assert_eq!(twins.nearest(&[0.1, 0.9]), "1");
        assert_eq!(twins.nearest(&[0.0, -0.5]), "3");
        assert_eq!(twins.nearest(&[9.0, 9.0]), "0");
    }

    proptest! {
        #[test]
        fn oracle_the_nearest_has_the_least_distance(
            values in (1usize..40).prop_flat_map(|width| {
                let vector = prop::collection::vec((-500i32..500).prop_map(|n| n as f32 / 500.0), width);
                prop::collection::vec(vector, 2..12)
            }),
        ) {
            let (embedding, rest) = values.split_last().unwrap();
            let found: usize = centroids(rest).nearest(embedding).parse().unwrap();
            let distance = |place: usize| -> f64 {
                let pairs = rest[place].iter().zip(embedding);
                pairs.map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum()
            };
            let least = (0..rest.len()).map(distance).fold(f64::INFINITY, f64::min);
            prop_assert!(distance(found) <= least + 1e-4, "{} {least}", distance(found));
        }
    }
}
