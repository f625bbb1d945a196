//! Skills from a sample, by k-means over its embeddings.

use std::cmp::Reverse;

use linfa::DatasetBase;
use linfa::traits::Fit;
use linfa_clustering::{KMeans, KMeansError, KMeansInit};
use ndarray::{Array2, ArrayView2};
use rand_xoshiro::Xoshiro256Plus;
use rand_xoshiro::rand_core::SeedableRng;

use super::{Centroids, EncoderIdentity, Sample, Skill};

/// Most skills that are fitted. A round takes documents × skills × channels products: with 100,000
/// documents of 384 channels, this many take 8·10¹⁰ of them.
pub const SKILLS_MAX: usize = 2_048;
/// From so many on, k-means‖ chooses where to begin. k-means++ compares with all chosen so far for
/// each choice, which is quadratic in their number.
const MANY: usize = 128;
/// Beginnings of which the best is taken, where they are cheap.
const BEGINNINGS: usize = 4;
/// Most rounds. What changes after so many is the membership of few documents.
const ROUNDS_MAX: u64 = 100;
/// Ids that are kept of a skill, to show what it is.
const NEAREST_KEPT: usize = 5;

/// At most `skills` skills of the sample, the one of most documents first.
///
/// The same sample in the same order and the same seed give the same skills on the same kind of
/// machine, on any number of threads. Skills that no document is nearest to are left out, so that
/// there are fewer where documents repeat. The sample has at least as many documents as `skills`,
/// which are from 1 to [`SKILLS_MAX`].
///
/// # Errors
/// [`KMeansError`] when the distances are no numbers.
pub fn fit(
    sample: &Sample,
    encoder: EncoderIdentity,
    skills: usize,
    seed: u64,
) -> Result<Centroids, KMeansError> {
    let shape = (sample.ids.len(), encoder.dimensions);
    let embeddings = ArrayView2::from_shape(shape, &sample.embeddings)
        .expect("an embedding has as many channels as the encoder gives");
    let means = k_means(embeddings, skills, seed)?;
    let of_mean = |mean: ndarray::ArrayView1<f32>| Skill {
        name: String::new(),
        documents: 0,
        nearest: Vec::new(),
        centroid: mean.to_vec(),
    };
    let fitted = means.outer_iter().map(of_mean).collect();
    let members = Centroids::of_checked(encoder.clone(), fitted);
    let skills = named(&members, sample);
    Ok(Centroids::of_checked(encoder, skills))
}

/// The means that k-means ends with.
fn k_means(
    embeddings: ArrayView2<f32>,
    skills: usize,
    seed: u64,
) -> Result<Array2<f32>, KMeansError> {
    let sample = DatasetBase::from(embeddings);
    let random = Xoshiro256Plus::seed_from_u64(seed);
    let params = KMeans::params_with_rng(skills, random).max_n_iterations(ROUNDS_MAX);
    let params = if skills < MANY {
        params
            .n_runs(BEGINNINGS)
            .init_method(KMeansInit::KMeansPlusPlus)
    } else {
        // k-means‖ seeds a generator for each piece of work that a thread takes: on one thread the
        // pieces are always the same.
        let begin = params.clone().n_runs(1).max_n_iterations(1);
        let begin = begin.init_method(KMeansInit::KMeansPara);
        let one_thread = rayon::ThreadPoolBuilder::new().num_threads(1).build();
        let pool = one_thread.expect("one thread can be started");
        let means = pool.install(|| begin.fit(&sample))?.centroids().clone();
        params.n_runs(1).init_method(KMeansInit::Precomputed(means))
    };
    Ok(params.fit(&sample)?.centroids().clone())
}

/// The skills that have documents, the largest first, named by their rank, with some documents.
fn named(members: &Centroids, sample: &Sample) -> Vec<Skill> {
    let mut documents: Vec<Vec<(f32, &String)>> = vec![Vec::new(); members.skills().len()];
    let width = members.encoder().dimensions;
    for (id, embedding) in sample.ids.iter().zip(sample.embeddings.chunks_exact(width)) {
        let (place, nearness) = members.nearest_place(embedding);
        documents[place].push((nearness, id));
    }
    let mut skills: Vec<Skill> = Vec::new();
    for (skill, mut documents) in members.skills().iter().zip(documents) {
        documents.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
        let nearest = documents
            .iter()
            .take(NEAREST_KEPT)
            .map(|(_, id)| id.to_string());
        skills.push(Skill {
            documents: documents.len() as u64,
            nearest: nearest.collect(),
            ..skill.clone()
        });
    }
    skills.retain(|skill| skill.documents > 0);
    skills.sort_by_key(|skill| Reverse(skill.documents));
    let digits = (skills.len() - 1).to_string().len();
    for (rank, skill) in skills.iter_mut().enumerate() {
        skill.name = format!("skill-{rank:0digits$}");
    }
    skills
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Documents around points on a circle, one point after the other.
    fn sample(points: usize, documents: usize, spread: f32) -> Sample {
        let mut random = 1u32;
        let mut noise = || {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((random >> 8) as f32 / (1 << 24) as f32 - 0.5) * spread
        };
        let mut sample = Sample::default();
        for document in 0..documents {
            let point = document % points;
            let angle = point as f32 / points as f32 * std::f32::consts::TAU;
            sample.ids.push(format!("{point}/{document}"));
            sample
                .embeddings
                .extend([angle.cos() + noise(), angle.sin() + noise(), 0.5]);
        }
        sample
    }

    fn encoder() -> EncoderIdentity {
        EncoderIdentity {
            name: "circle".into(),
            parameters: 0,
            dimensions: 3,
        }
    }

    #[test]
    fn documents_around_a_point_become_a_skill() {
        let sample = sample(5, 203, 0.2);
        let centroids = fit(&sample, encoder(), 5, 1).unwrap();
        let names: Vec<&str> = centroids.skills().iter().map(|it| &*it.name).collect();
        assert_eq!(
            names,
            ["skill-0", "skill-1", "skill-2", "skill-3", "skill-4"]
        );
        let sizes: Vec<u64> = centroids.skills().iter().map(|it| it.documents).collect();
        assert_eq!(sizes, [41, 41, 41, 40, 40]);
        for skill in centroids.skills() {
            let point = |id: &String| id.split('/').next().map(str::to_owned);
            assert!(
                skill
                    .nearest
                    .iter()
                    .all(|id| point(id) == point(&skill.nearest[0]))
            );
            assert_eq!(skill.nearest.len(), 5);
        }
        for (id, embedding) in sample.ids.iter().zip(sample.embeddings.chunks(3)) {
            let others = sample.ids.iter().zip(sample.embeddings.chunks(3));
            let same = others.filter(|it| centroids.nearest(it.1) == centroids.nearest(embedding));
            assert!(same.into_iter().all(|it| it.0[..1] == id[..1]));
        }
    }

    #[test]
    fn many_skills_are_the_same_in_every_fit_and_another_seed_gives_others() {
        let sample = sample(300, 2000, 0.01);
        let few_threads = rayon::ThreadPoolBuilder::new()
            .num_threads(3)
            .build()
            .unwrap();
        let first = fit(&sample, encoder(), 200, 1).unwrap();
        assert!(first.skills().len() > 150, "{}", first.skills().len());
        assert_eq!(first.skills()[7].name, "skill-007");
        let again = few_threads.install(|| fit(&sample, encoder(), 200, 1).unwrap());
        assert_eq!(first, again);
        assert_ne!(first, fit(&sample, encoder(), 200, 2).unwrap());
    }

    #[test]
    fn where_documents_repeat_there_are_fewer_skills() {
        let centroids = fit(&sample(2, 20, 0.0), encoder(), 6, 1).unwrap();
        assert_eq!(centroids.skills().len(), 2);
        assert_eq!(centroids.skills()[0].documents, 10);
    }
}
