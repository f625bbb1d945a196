//! Opening a model: what the path holds, whether it fits, then its weights.

use std::path::Path;

use crate::llama::Llama;
use crate::source::{Gguf, HuggingFace, Source};
use crate::{Config, LanguageModel, ModelError, Tokenizer};

/// How a model is loaded.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// Threads that the CPU model computes on; 0 takes one a core. Scores do not depend on it.
    pub threads: usize,
    /// Largest memory for weights, in bytes; a model that needs more is refused.
    pub weight_bytes_max: u64,
}

impl Default for LoadOptions {
    /// One thread a core and 32 GiB, enough for 8 billion weights.
    fn default() -> Self {
        LoadOptions {
            threads: 0,
            weight_bytes_max: 32 << 30,
        }
    }
}

/// A model with the tokenizer that belongs to it.
pub struct Loaded {
    /// The model, to be owned by one thread.
    pub model: Box<dyn LanguageModel>,
    /// The tokenizer, to be shared by many.
    pub tokenizer: Tokenizer,
    /// The model's shape.
    pub config: Config,
}

/// Loads a model from a GGUF file or a Hugging Face directory.
///
/// Weights are dequantised to f32. Sizes are checked against the file and against `options` before
/// memory is taken.
///
/// # Errors
/// [`ModelError`]: the path holds no model, another architecture, a damaged file, or a model that
/// does not fit.
pub fn load(path: &Path, options: &LoadOptions) -> Result<Loaded, ModelError> {
    let mut source = open(path)?;
    let needed_bytes = 4 * source.config().parameters();
    if needed_bytes > options.weight_bytes_max {
        return Err(ModelError::Memory {
            path: path.into(),
            needed_bytes,
            limit_bytes: options.weight_bytes_max,
        });
    }
    let tokenizer = source.tokenizer()?;
    let vocabulary = source.config().vocabulary;
    if tokenizer.vocabulary() > vocabulary {
        let what = format!(
            "its tokenizer knows {} tokens, its embedding {vocabulary}",
            tokenizer.vocabulary()
        );
        return Err(ModelError::Malformed {
            path: path.into(),
            what,
        });
    }
    let config = source.config().clone();
    let model = Llama::load(source.as_mut(), tokenizer.separator(), options.threads)?;
    Ok(Loaded {
        model: Box::new(model),
        tokenizer,
        config,
    })
}

fn open(path: &Path) -> Result<Box<dyn Source>, ModelError> {
    let metadata = std::fs::metadata(path).map_err(|source| ModelError::Io {
        path: path.into(),
        source,
    })?;
    if metadata.is_file() {
        return match path
            .extension()
            .is_some_and(|extension| extension == "gguf")
        {
            true => Ok(Box::new(Gguf::open(path)?)),
            false => Err(ModelError::NotAModel { path: path.into() }),
        };
    }
    match path.join("config.json").is_file() {
        true => Ok(Box::new(HuggingFace::open(path)?)),
        false => Err(ModelError::NotAModel { path: path.into() }),
    }
}
