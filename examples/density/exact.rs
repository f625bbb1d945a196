//! The density that a sketch estimates, without a sketch.

use kernels::LshConfig;

/// For each embedding the sum, over all of them, of the probability that two share a row's code:
/// itself counts 1.
///
/// `embeddings` is `[documents, width]`. Takes time by the square of the number of documents.
pub fn densities(embeddings: &[f32], width: usize, config: &LshConfig) -> Vec<f64> {
    let rows: Vec<&[f32]> = embeddings.chunks_exact(width).collect();
    let mut densities = vec![1.0; rows.len()];
    for (place, row) in rows.iter().enumerate() {
        for (other, earlier) in rows[..place].iter().enumerate() {
            let shared = config.collision_probability(distance(row, earlier));
            densities[place] += shared;
            densities[other] += shared;
        }
    }
    densities
}

/// The Euclidean distance, with sixteen sums so that the compiler may use wide vectors.
fn distance(a: &[f32], b: &[f32]) -> f64 {
    let mut sums = [0.0f32; 16];
    for (a, b) in a.chunks(16).zip(b.chunks(16)) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += (a - b) * (a - b);
        }
    }
    f64::from(sums.iter().sum::<f32>()).sqrt()
}
