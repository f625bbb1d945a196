//! `riffle skills fit`: skills from a sample of documents.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use kernels::{LoadOptions, LoadedEncoder, load_encoder};

use super::super::args::Global;
use super::super::failure::{AnyError, Failure};
use crate::feed::{FeedOptions, Format};
use crate::skills::{Centroids, Drawn, EncoderIdentity, SKILLS_MAX, Sample, draw, fit};

const EXAMPLES: &str = "\
Examples:
    riffle skills fit -k 20 crawl.jsonl.zst
    riffle skills fit -k 200 --sample 50000 --out topics.json crawl/

Documents are read as riffle feed reads them. Those of the least hash of seed and id are embedded,
and k-means finds the skills among them. The file holds a skill a line with its size and the ids of
the documents nearest to it; rename skills in it as you like.";

/// Which documents, and how many skills.
#[derive(Clone, Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct FitArgs {
    /// Files and folders of documents; - is standard input
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// How many skills to find
    #[arg(short = 'k', long, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=SKILLS_MAX as u64))]
    pub skills: u64,
    /// The encoder: a directory of a sentence-transformers model
    #[arg(long, value_name = "DIR", default_value = "models/all-MiniLM-L6-v2")]
    pub encoder: PathBuf,
    /// How many documents to embed
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub sample: u64,
    /// Another seed draws other documents and begins elsewhere
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// The file to write
    #[arg(long, value_name = "FILE", default_value = "skills.json")]
    pub out: PathBuf,
    /// What the files hold; by default as their names say, and JSON lines on standard input
    #[arg(long, value_name = "auto|jsonl|text", default_value = "auto")]
    #[arg(hide_possible_values = true, hide_default_value = true)]
    pub format: Format,
}

/// Finds the skills, writes them, and prints what they are.
pub(super) fn run(global: &Global, args: &FitArgs) -> Result<(), Failure> {
    let config = global.load()?.config;
    let mut loaded = load_encoder(&args.encoder, &LoadOptions::default())
        .map_err(|error| Failure::Unavailable(error.into()))?;
    let options = FeedOptions {
        format: args.format,
        document_bytes_max: config.score.document_bytes_max as usize,
        ..FeedOptions::default()
    };
    let (drawn, complete) = drawn(args, &options, &loaded)?;
    if (drawn.len() as u64) < args.skills {
        let (documents, skills) = (drawn.len(), args.skills);
        return Err(failed(format!(
            "{documents} documents cannot have {skills} skills; give more documents or a smaller -k"
        )));
    }
    let sample = embedded(drawn, &mut loaded)?;
    let encoder = EncoderIdentity::of(loaded.encoder.describe(), &loaded.config);
    tracing::info!("looking for {} skills", args.skills);
    let centroids = fit(&sample, encoder, args.skills as usize, args.seed)
        .map_err(|error| Failure::Failed(error.into()))?;
    centroids
        .write(&args.out)
        .map_err(|error| Failure::Failed(error.into()))?;
    io::stdout().write_all(summary(&centroids, &args.out).as_bytes())?;
    match complete {
        true => Ok(()),
        false => Err(Failure::Reported),
    }
}

/// The documents drawn, and whether every file could be read.
fn drawn(
    args: &FitArgs,
    options: &FeedOptions,
    loaded: &LoadedEncoder,
) -> Result<(Drawn<Vec<u32>>, bool), Failure> {
    let mut drawn = Drawn::new(args.sample as usize, args.seed);
    let found = draw(&args.paths, options, &loaded.tokenizer, &mut drawn)
        .map_err(|error| failed(format!("cannot start a thread to read with: {error}")))?;
    for failure in &found.failures {
        tracing::error!("{failure}");
    }
    if found.unusable > 0 {
        tracing::warn!(
            "{} lines are no documents and were passed over",
            found.unusable
        );
    }
    tracing::info!(
        "read {} documents and drew {}",
        found.documents,
        drawn.len()
    );
    Ok((drawn, found.failures.is_empty()))
}

fn embedded(drawn: Drawn<Vec<u32>>, loaded: &mut LoadedEncoder) -> Result<Sample, Failure> {
    let all = drawn.len();
    let mut told = 0;
    let progress = |done: usize| {
        // Ten lines, however many documents.
        if done * 10 / all > told {
            told = done * 10 / all;
            tracing::info!("embedded {done} of {all} documents");
        }
    };
    let sample = drawn.embedded(loaded.encoder.as_mut(), progress);
    sample.map_err(|error| Failure::Failed(error.into()))
}

fn summary(centroids: &Centroids, path: &Path) -> String {
    let mut text = String::new();
    for skill in centroids.skills() {
        let nearest: Vec<String> = skill
            .nearest
            .iter()
            .take(3)
            .map(|id| id.escape_debug().to_string())
            .collect();
        let (name, documents) = (&skill.name, skill.documents);
        writeln!(
            text,
            "{name}  {documents:>7} documents  {}",
            nearest.join(", ")
        )
        .expect("writing to memory does not fail");
    }
    let count = centroids.skills().len();
    text + &format!("{count} skills written to {}\n", path.display())
}

fn failed(message: String) -> Failure {
    Failure::Failed(AnyError::from(message))
}
