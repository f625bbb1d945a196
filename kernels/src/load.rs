//! Opening a model: what the path holds, what it runs on, whether it fits, then its weights.

use std::path::Path;

use crate::llama::Llama;
use crate::source::{Gguf, HuggingFace, Source};
use crate::{
    Config, CudaError, DeviceChoice, DeviceInfo, LanguageModel, LshConfig, ModelError, Tokenizer,
    cuda,
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
    if tokenizer.vocabulary() > config.vocabulary {
        let what = format!(
            "its tokenizer knows {} tokens, its embedding {}",
            tokenizer.vocabulary(),
            config.vocabulary
        );
        return Err(ModelError::Malformed {
            path: path.into(),
            what,
        });
    }
    let separator = tokenizer.separator();
    let on_gpu = |source: &mut dyn Source, ordinal| cuda::load(source, separator, ordinal, options);
    let on_cpu = |source: &mut dyn Source| load_on_cpu(path, source, separator, options);
    let (placed, fallback) = match options.device {
        DeviceChoice::Cpu => (on_cpu(source.as_mut())?, None),
        DeviceChoice::Cuda(ordinal) => (on_gpu(source.as_mut(), ordinal)?, None),
        DeviceChoice::Auto => match on_gpu(source.as_mut(), 0) {
            Err(ModelError::Cuda(reason)) => (on_cpu(source.as_mut())?, Some(reason)),
            placed => (placed?, None),
        },
    };
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
pub(crate) struct Placed {
    pub(crate) model: Box<dyn LanguageModel>,
    /// Tokens at which a batch is best handed to it.
    pub(crate) batch_tokens: usize,
    pub(crate) gpu: Option<DeviceInfo>,
}

fn load_on_cpu(
    path: &Path,
    source: &mut dyn Source,
    separator: u32,
    options: &LoadOptions,
) -> Result<Placed, ModelError> {
    let needed_bytes = 4 * source.config().parameters();
    if needed_bytes > options.weight_bytes_max {
        return Err(ModelError::Memory {
            path: path.into(),
            needed_bytes,
            limit_bytes: options.weight_bytes_max,
        });
    }
    let document_tokens = options.document_tokens(source.config().context);
    let batch_tokens = options
        .batch_tokens_max
        .unwrap_or(CPU_BATCH_TOKENS.max(document_tokens));
    let model = Llama::load(source, separator, options.threads)?;
    Ok(Placed {
        model: Box::new(model),
        batch_tokens,
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
