//! `riffle skills fit`: skills from a sample of documents.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use kernels::{LoadOptions, LoadedEncoder, load_encoder};

use super::super::args::Global;
use super::super::failure::{AnyError, Failure};
use crate::config::Config;
use crate::engine::{EngineError, Stores};
use crate::feed::{FeedOptions, Format};
use crate::skills::{
    Centroids, Drawn, EncoderIdentity, FoundScored, SKILLS_MAX, Sample, draw, draw_scored, fit,
};

/// The encoder that `make models` fetches.
const ENCODER: &str = "models/all-MiniLM-L6-v2";

const EXAMPLES: &str = "\
Examples:
    riffle skills fit -k 20 crawl.jsonl.zst
    riffle skills fit -k 200 --sample 50000 --out topics.json crawl/
    riffle skills fit -k 200 --scored       of what has been scored, with score.embeddings = true

Documents are read as riffle feed reads them. Those of the least hash of seed and id are embedded,
and k-means finds the skills among them. With --scored they are the live documents of the scored log
up to its present end, and their embeddings the ones that they were scored with. The file holds a skill a line with its size and the ids of
the documents nearest to it; rename skills in it as you like.";

/// Which documents, and how many skills.
#[derive(Clone, Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct FitArgs {
    /// Files and folders of documents; - is standard input
    #[arg(required_unless_present = "scored", value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Take the scored log's documents and embeddings instead of files
    #[arg(long, conflicts_with_all = ["paths", "format"])]
    pub scored: bool,
    /// How many skills to find
    #[arg(short = 'k', long, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=SKILLS_MAX as u64))]
    pub skills: u64,
    /// The encoder: a directory of a sentence-transformers model [default: score.encoder, or else
    /// models/all-MiniLM-L6-v2]
    #[arg(long, value_name = "DIR")]
    pub encoder: Option<PathBuf>,
    /// How many documents to take
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
    let chosen = args.encoder.as_ref().or(config.score.encoder.as_ref());
    let path = chosen.map_or(Path::new(ENCODER), PathBuf::as_path);
    let mut loaded = load_encoder(path, &LoadOptions::default())
        .map_err(|error| Failure::Unavailable(error.into()))?;
    let encoder = EncoderIdentity::of(loaded.encoder.describe(), &loaded.config);
    let (sample, complete) = match args.scored {
        true => (scored(args, &config, &encoder)?, true),
        false => {
            let (drawn, complete) = drawn(args, &config, &loaded)?;
            (embedded(drawn, &mut loaded)?, complete)
        }
    };
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

/// A sample of the scored log.
fn scored(args: &FitArgs, config: &Config, encoder: &EncoderIdentity) -> Result<Sample, Failure> {
    let (store, log) = (
        Stores::new(config).of(config.scored.log)?,
        &config.scored.topic,
    );
    let mut drawn = Drawn::new(args.sample as usize, args.seed);
    let found = draw_scored(store.as_ref(), log, encoder, &mut drawn)
        .map_err(|error| Failure::from(EngineError::from(error)))?;
    let FoundScored {
        documents,
        without,
        unusable,
    } = found;
    if unusable > 0 {
        tracing::warn!("{unusable} records are no scored documents and were passed over");
    }
    if without > 0 {
        let name = &encoder.name;
        tracing::warn!(
            "{without} documents carry no embedding by {name} and were passed over; score them \
             with this score.encoder and score.embeddings = true"
        );
    }
    tracing::info!("read {documents} scored documents and drew {}", drawn.len());
    enough(drawn.len(), args.skills)?;
    Ok(drawn.sample())
}

/// The documents drawn, and whether every file could be read.
fn drawn(
    args: &FitArgs,
    config: &Config,
    loaded: &LoadedEncoder,
) -> Result<(Drawn<Vec<u32>>, bool), Failure> {
    let options = FeedOptions {
        format: args.format,
        document_bytes_max: config.score.document_bytes_max as usize,
        ..FeedOptions::default()
    };
    let mut drawn = Drawn::new(args.sample as usize, args.seed);
    let found = draw(&args.paths, &options, &loaded.tokenizer, &mut drawn)
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
    enough(drawn.len(), args.skills)?;
    Ok((drawn, found.failures.is_empty()))
}

fn enough(documents: usize, skills: u64) -> Result<(), Failure> {
    match documents as u64 >= skills {
        true => Ok(()),
        false => Err(failed(format!(
            "{documents} documents cannot have {skills} skills; give more documents or a smaller -k"
        ))),
    }
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
