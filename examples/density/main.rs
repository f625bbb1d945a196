//! How well a sketch measures density: on real embeddings, against the exact sum over all pairs.
//!
//! ```text
//! make models && cargo run --release --example density -- pages.jsonl.zst
//! cargo run --release --example density -- pages.jsonl --points 3000 --seeds 4 --concatenated 1
//! ```
//!
//! The documents given, JSON lines with a text each, are enlarged by their halves and paragraphs,
//! so that some stand close together; all are embedded. A document's exact density is the sum over
//! all of k(distance)ⁿ, the probability that two of them share a code of n concatenated p-stable
//! hashes. Each sketch is drawn under several seeds, and its figures are means over them. It says
//! nothing of how fast anything is.

mod exact;
mod points;
mod quality;
mod ranks;

use std::error::Error;
use std::path::PathBuf;

use clap::Parser;
use kernels::{Batch, LoadOptions, LshConfig, load_encoder};

use quality::Quality;

/// Codes of a document, for which the quality is told.
const ROWS: [usize; 4] = [64, 128, 256, 1000];
/// Documents embedded at a time.
const BATCH: usize = 64;

/// What is measured.
#[derive(Parser)]
struct Arguments {
    /// Documents as JSON lines, .zst or plain
    documents: PathBuf,
    /// The encoder's directory
    #[arg(long, default_value = "models/all-MiniLM-L6-v2")]
    encoder: PathBuf,
    /// At most so many documents, halves and paragraphs
    #[arg(long, default_value_t = 6000)]
    points: usize,
    /// Seeds under which each sketch is drawn
    #[arg(long, default_value_t = 8)]
    seeds: u64,
    /// Hashes that make one code
    #[arg(long, default_value_t = 4)]
    concatenated: usize,
    /// Width of a hash's buckets
    #[arg(long, default_value_t = 1.0)]
    bucket_width: f64,
    /// Cells of a row
    #[arg(long, default_value_t = 20_000)]
    cells: usize,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let (texts, documents) = points::read(&arguments.documents, arguments.points)?;
    let (embeddings, width) = embed(&arguments.encoder, &texts)?;
    let mut config = LshConfig {
        rows: 0,
        concatenated: arguments.concatenated,
        bucket_width: arguments.bucket_width,
        cells: arguments.cells,
        seed: 0,
    };
    let exact = exact::densities(&embeddings, width, &config);
    println!(
        "{} points of {documents} documents; n = {}, r = {}, B = {}, {} seeds\n",
        texts.len(),
        config.concatenated,
        config.bucket_width,
        config.cells,
        arguments.seeds
    );
    println!("{}", describe(&exact));
    println!("{}", Quality::HEADER);
    for rows in ROWS {
        config.rows = rows;
        let quality = Quality::measure(&config, arguments.seeds, &embeddings, width, &exact)?;
        println!("{}", quality.line(rows));
    }
    Ok(())
}

/// The embeddings of the texts, end to end, and their width.
fn embed(encoder: &std::path::Path, texts: &[String]) -> Result<(Vec<f32>, usize), Box<dyn Error>> {
    let mut loaded = load_encoder(encoder, &LoadOptions::default())?;
    let mut embeddings = Vec::with_capacity(texts.len() * loaded.config.width);
    for texts in texts.chunks(BATCH) {
        let mut batch = Batch::new();
        for text in texts {
            batch.push(&loaded.tokenizer.encode(text)?.ids);
        }
        embeddings.extend_from_slice(loaded.encoder.embed(&batch)?.values());
    }
    Ok((embeddings, loaded.config.width))
}

/// How densities are spread, in a line.
fn describe(densities: &[f64]) -> String {
    let mut sorted = densities.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |part: f64| sorted[(part * (sorted.len() - 1) as f64) as usize];
    format!(
        "exact density: least {:.2}, median {:.2}, 90th percentile {:.2}, largest {:.2}\n",
        at(0.0),
        at(0.5),
        at(0.9),
        at(1.0)
    )
}
