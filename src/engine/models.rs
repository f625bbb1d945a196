//! Loads the models that score documents, as the configuration says, and tells what was loaded.

use std::path::PathBuf;
use std::sync::Arc;

use kernels::{CudaError, EncoderTokenizer};

use super::EngineError;
use crate::config::{Config, PerplexityFrom};
use crate::score::{Embedder, Scorer};
use crate::skills::{Centroids, EncoderIdentity};

/// Tokens at which a batch is handed to an encoder that is the only model.
const ENCODER_BATCH_TOKENS: usize = 16_384;

/// Where scores come from, and at how many tokens a batch is handed to the model.
pub(super) fn scorer(config: &Config, threads: usize) -> Result<(Scorer, usize), EngineError> {
    let score = &config.score;
    if let PerplexityFrom::Field(field) = &score.perplexity {
        tracing::info!(%field, "perplexity is read from the documents; no reference model is loaded");
        let tokens = score.tokens.as_ref().map(|tokens| tokens.field.clone());
        let batch_tokens = batch_tokens_max(config).unwrap_or(ENCODER_BATCH_TOKENS);
        return Ok((Scorer::Fields(field.clone(), tokens), batch_tokens));
    }
    // On a GPU the first start compiles its kernels, which takes some seconds.
    tracing::info!(device = %score.device, model = %score.model.display(), "loading the reference model");
    let options = kernels::LoadOptions {
        gpu_bytes_kept: encoder_bytes(config, threads)?,
        ..load_options(config, threads)
    };
    let loaded = kernels::load(&score.model, &options)?;
    say_fallback("reference model", loaded.fallback.as_ref());
    if let Some(gpu) = &loaded.gpu {
        let (gpu, mib) = (&gpu.name, gpu.total_bytes >> 20);
        tracing::info!(gpu, memory_mib = mib, "the reference model is on a GPU");
    }
    let info = loaded.model.describe();
    tracing::info!(
        name = info.name,
        backend = info.backend,
        parameters = info.parameters,
        weight_mib = info.weight_bytes >> 20,
        batch_tokens = loaded.batch_tokens,
        "reference model loaded"
    );
    let max = (score.max_tokens as usize).min(info.context_tokens);
    let scorer = Scorer::Model(loaded.model, Arc::new(loaded.tokenizer), max);
    Ok((scorer, loaded.batch_tokens))
}

/// What of a GPU's memory the reference model leaves to the encoder, which is loaded after it.
fn encoder_bytes(config: &Config, threads: usize) -> Result<u64, EngineError> {
    let bytes =
        |path: &PathBuf| kernels::encoder_gpu_bytes(path, &encoder_options(config, threads));
    Ok(config.score.encoder.as_ref().map_or(Ok(0), bytes)?)
}

/// Says why the model is on the CPU: a machine without a driver has no GPU to miss.
fn say_fallback(model: &str, reason: Option<&CudaError>) {
    match reason {
        None => {}
        Some(CudaError::NoDriver) => {
            tracing::info!("no CUDA driver: the {model} runs on the CPU");
        }
        Some(reason) => {
            tracing::warn!(%reason, "the GPU is not used: the {model} runs on the CPU");
        }
    }
}

/// How the configuration has the reference model loaded, with this many threads.
pub fn load_options(config: &Config, threads: usize) -> kernels::LoadOptions {
    let score = &config.score;
    kernels::LoadOptions {
        device: score.device,
        threads,
        batch_tokens_max: batch_tokens_max(config),
        document_tokens_max: score.max_tokens as usize,
        ..kernels::LoadOptions::default()
    }
}

/// The configured size of a batch; `None` for what suits the device.
fn batch_tokens_max(config: &Config) -> Option<usize> {
    let tokens = config.score.batch_tokens_max as usize;
    (tokens > 0).then_some(tokens)
}

/// What embeds documents, with the tokenizer for it; `None` where no encoder is configured.
pub(super) fn embedder(
    config: &Config,
    threads: usize,
) -> Result<Option<(Embedder, Arc<EncoderTokenizer>)>, EngineError> {
    let Some(path) = &config.score.encoder else {
        return Ok(None);
    };
    tracing::info!(encoder = %path.display(), "loading the encoder");
    let loaded = kernels::load_encoder(path, &encoder_options(config, threads))?;
    say_fallback("encoder", loaded.fallback.as_ref());
    let (info, shape) = (loaded.encoder.describe(), &loaded.config);
    tracing::info!(
        name = info.name,
        backend = info.backend,
        parameters = info.parameters,
        weight_mib = info.weight_bytes >> 20,
        dimensions = shape.width,
        document_tokens_max = shape.tokens_max,
        "encoder loaded"
    );
    let score = &config.score;
    let identity = EncoderIdentity::of(info, shape);
    let centroids = config.skills.centroids.as_ref();
    let centroids = centroids.map(|path| Centroids::open_for(path, &identity));
    let centroids = centroids.transpose()?;
    let embedder = Embedder::new(loaded, &config.sketch, score.embeddings, centroids);
    Ok(Some(embedder))
}

/// How the encoder is loaded, with this many threads.
pub fn encoder_options(config: &Config, threads: usize) -> kernels::LoadOptions {
    kernels::LoadOptions {
        device: config.score.device,
        threads,
        batch_tokens_max: batch_tokens_max(config),
        hashes: Some(config.sketch.lsh()),
        ..kernels::LoadOptions::default()
    }
}
