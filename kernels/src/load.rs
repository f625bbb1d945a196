//! Opening a model: what the path holds, what it runs on, whether it fits, then its weights.

use std::path::Path;

use crate::llama::Llama;
use crate::source::{Gguf, HuggingFace, Source};
use crate::{
    Config, CudaError, DeviceChoice, DeviceInfo, LanguageModel, Lsh, LshConfig, LshError,
    ModelError, Tokenizer, cuda,
};

/// Tokens of a batch on the CPU where the options leave the choice.
const CPU_BATCH_TOKENS: usize = 16_384;

/// How a model is loaded.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// What the model runs on.
    pub device: DeviceChoice,
    /// Threads that the CPU model computes on; 0 takes one a core. Scores do not depend on it.
    pub threads: usize,
    /// Largest memory for weights on the CPU, in bytes; a model that needs more is refused.
    pub weight_bytes_max: u64,
    /// Tokens that a GPU computes on at once, which its memory is planned for; `None` for as many
    /// as suit it.
    pub batch_tokens_max: Option<usize>,
    /// The longest document that will be scored, if it is shorter than the model's context.
    pub document_tokens_max: usize,
    /// Memory of a GPU that is left for others, in bytes, such as for a second model that is loaded
    /// next; see [`encoder_gpu_bytes`](crate::encoder_gpu_bytes).
    pub gpu_bytes_kept: u64,
    /// The hashes that an encoder's embeddings get codes by, if any; a language model has none.
    pub hashes: Option<LshConfig>,
}

impl Default for LoadOptions {
    /// On the CPU, one thread a core, and 32 GiB, enough for 8 billion weights.
    fn default() -> Self {
        LoadOptions {
            device: DeviceChoice::Cpu,
            threads: 0,
            weight_bytes_max: 32 << 30,
            batch_tokens_max: None,
            document_tokens_max: usize::MAX,
            gpu_bytes_kept: 0,
            hashes: None,
        }
    }
}

impl LoadOptions {
    /// The longest document of a model with this context.
    pub(crate) fn document_tokens(&self, context: usize) -> usize {
        self.document_tokens_max.min(context)
    }

    /// The hashes, drawn for embeddings of so many channels.
    pub(crate) fn draw_hashes(&self, dimensions: usize) -> Result<Option<Lsh>, LshError> {
        let hashes = self.hashes.clone();
        hashes
            .map(|hashes| Lsh::new(hashes, dimensions))
            .transpose()
    }

    /// Tokens at which a batch is best handed to a model on the CPU.
    pub(crate) fn cpu_batch_tokens(&self, document_tokens: usize) -> usize {
        let own_choice = CPU_BATCH_TOKENS.max(document_tokens);
        self.batch_tokens_max.unwrap_or(own_choice)
    }

    /// Passes when so many weights in f32 are within the limit.
    pub(crate) fn check_weights(&self, path: &Path, parameters: u64) -> Result<(), ModelError> {
        let (needed_bytes, limit_bytes) = (4 * parameters, self.weight_bytes_max);
        match needed_bytes <= limit_bytes {
            true => Ok(()),
            false => Err(ModelError::Memory {
                path: path.into(),
                needed_bytes,
                limit_bytes,
            }),
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
    /// Tokens at which a batch is best handed to the model.
    pub batch_tokens: usize,
    /// The GPU that the model is on, as it was before; `None` on the CPU.
    pub gpu: Option<DeviceInfo>,
    /// Why the model is on the CPU, when a GPU would have been taken.
    pub fallback: Option<CudaError>,
}

/// Loads a model from a GGUF file or a Hugging Face directory.
///
/// Weights are dequantised to f32, and rounded to bf16 on a GPU. Sizes are checked against the file
/// and against `options` before memory is taken. With [`DeviceChoice::Auto`] a model that cannot
/// run on a GPU runs on the CPU, and [`Loaded::fallback`] says why.
///
/// # Errors
/// [`ModelError`]: the path holds no model, another architecture, a damaged file, a model that does
/// not fit, or the GPU asked for cannot be used.
pub fn load(path: &Path, options: &LoadOptions) -> Result<Loaded, ModelError> {
    let mut source = open(path)?;
    let tokenizer = source.tokenizer()?;
    let config = source.config().clone();
    let separator = tokenizer.separator();
    let known = tokenizer.vocabulary().max(separator as usize + 1);
    if known > config.vocabulary {
        let what = format!(
            "its tokenizer knows {known} tokens, its embedding {}",
            config.vocabulary
        );
        return Err(ModelError::Malformed {
            path: path.into(),
            what,
        });
    }
    let source = source.as_mut();
    let (placed, fallback) = choose(options.device, |ordinal| match ordinal {
        Some(ordinal) => cuda::load(source, separator, ordinal, options),
        None => load_on_cpu(path, source, separator, options),
    })?;
    Ok(Loaded {
        model: placed.model,
        tokenizer,
        config,
        batch_tokens: placed.batch_tokens,
        gpu: placed.gpu,
        fallback,
    })
}

/// The shape of the model at `path`, whose weights are not read.
///
/// # Errors
/// As [`load`], but for those of the weights.
pub fn describe(path: &Path) -> Result<Config, ModelError> {
    Ok(open(path)?.config().clone())
}

/// A model where it runs.
pub(crate) struct Placed<M: ?Sized> {
    pub(crate) model: Box<M>,
    /// Tokens at which a batch is best handed to it.
    pub(crate) batch_tokens: usize,
    pub(crate) gpu: Option<DeviceInfo>,
}

/// The model on the device that was chosen, and why it is not on a GPU if it might have been.
/// `place` loads it onto the GPU of a number, or onto the CPU.
pub(crate) fn choose<M: ?Sized>(
    device: DeviceChoice,
    mut place: impl FnMut(Option<usize>) -> Result<Placed<M>, ModelError>,
) -> Result<(Placed<M>, Option<CudaError>), ModelError> {
    match device {
        DeviceChoice::Cpu => Ok((place(None)?, None)),
        DeviceChoice::Cuda(ordinal) => Ok((place(Some(ordinal))?, None)),
        DeviceChoice::Auto => match place(Some(0)) {
            Err(ModelError::Cuda(reason)) => Ok((place(None)?, Some(reason))),
            placed => Ok((placed?, None)),
        },
    }
}

fn load_on_cpu(
    path: &Path,
    source: &mut dyn Source,
    separator: u32,
    options: &LoadOptions,
) -> Result<Placed<dyn LanguageModel>, ModelError> {
    options.check_weights(path, source.config().parameters())?;
    let document_tokens = options.document_tokens(source.config().context);
    let model = Llama::load(source, separator, options.threads)?;
    Ok(Placed {
        model: Box::new(model),
        batch_tokens: options.cpu_batch_tokens(document_tokens),
        gpu: None,
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
