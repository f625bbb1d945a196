//! Codes of real embeddings measure how crowded a document's neighbourhood is: the estimate from
//! shared cells agrees with the exact sum of collision probabilities.

use riffle_kernels::{Embeddings, Lsh, LshConfig};

/// Parts of the reference texts, 24 tokens each with 8 shared between neighbours: some near to each
/// other, most far.
fn embed_parts() -> Embeddings {
    let mut loaded = crate::model::load_on(0);
    let mut parts: Vec<Vec<u32>> = Vec::new();
    for (_, text) in crate::model::texts() {
        let ids = loaded.tokenizer.encode(&text).unwrap().ids;
        let inside = &ids[1..ids.len() - 1];
        let starts = (0..inside.len()).step_by(16);
        let part = |start: usize| &inside[start..inside.len().min(start + 24)];
        parts.extend(starts.map(|start| [&[101], part(start), &[102]].concat()));
    }
    let batch = parts.iter().map(Vec::as_slice).collect();
    loaded.encoder.embed(&batch).unwrap()
}

/// Σ over all documents of the probability that they share a document's row.
fn exact_sum(config: &LshConfig, embeddings: &[&[f32]], of: usize) -> f64 {
    let squared = |a: &[f32], b: &[f32]| {
        let differences = a.iter().zip(b).map(|(a, b)| f64::from(a - b));
        differences.map(|d| d * d).sum::<f64>()
    };
    let distances = embeddings
        .iter()
        .map(|other| squared(embeddings[of], other).sqrt());
    distances
        .map(|distance| config.collision_probability(distance))
        .sum()
}

#[test]
fn the_debiased_estimate_is_within_its_standard_error_of_the_exact_sum() {
    let embeddings = embed_parts();
    let rows: Vec<&[f32]> = embeddings.documents().collect();
    let documents = rows.len() as f64;
    assert!(documents > 120.0, "{documents} documents");
    for (concatenated, cells) in [(1, 65536), (4, 65536), (4, 200)] {
        let config = LshConfig {
            rows: 2000,
            concatenated,
            bucket_width: 1.0,
            cells,
            seed: 11,
        };
        let lsh = Lsh::new(config.clone(), embeddings.width()).unwrap();
        let codes = lsh.codes(embeddings.values());
        let codes: Vec<&[u16]> = codes.chunks_exact(config.rows).collect();
        let (mut squares, mut worst) = (0.0, 0.0f64);
        for of in 0..rows.len() {
            let count = |row: usize| {
                let shared = codes.iter().filter(|other| other[row] == codes[of][row]);
                shared.count() as f64
            };
            let counts: Vec<f64> = (0..config.rows).map(count).collect();
            let n = config.rows as f64;
            let mean = counts.iter().sum::<f64>() / n;
            let variance = counts.iter().map(|c| (c - mean).powi(2)).sum::<f64>() / (n - 1.0);
            let debias = 1.0 / (1.0 - 1.0 / cells as f64);
            let standard_error = (variance / n).sqrt() * debias;
            let error = config.kernel_sum(mean, documents) - exact_sum(&config, &rows, of);
            // A document without neighbours in any row has no error and no standard error.
            let deviations = error / standard_error.max(1e-9);
            squares += deviations * deviations;
            worst = worst.max(deviations.abs());
        }
        let typical = (squares / documents).sqrt();
        println!(
            "n = {concatenated}, B = {cells}: {typical:.2} standard errors, {worst:.2} at most"
        );
        // Rows are independent and many: an estimate's deviation is normal. Documents share hashes,
        // so their mean square scatters more than that of as many independent ones would.
        assert!(typical < 2.0, "{typical}");
        assert!(worst < 5.0, "{worst}");
    }
}
