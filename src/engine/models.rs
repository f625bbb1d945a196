//! Loads the models that score documents, as the configuration says, and tells what was loaded.

use std::sync::Arc;

use kernels::{CudaError, DeviceChoice, EncoderTokenizer};

use super::EngineError;
use crate::config::{Config, PerplexityFrom};
use crate::score::{Embedder, Scorer};

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
    let loaded = kernels::load(&score.model, &load_options(config, threads))?;
    say_fallback(loaded.fallback.as_ref());
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

/// Says why the model is on the CPU: a machine without a driver has no GPU to miss.
fn say_fallback(reason: Option<&CudaError>) {
    match reason {
        None => {}
        Some(CudaError::NoDriver) => {
            tracing::info!("no CUDA driver: the reference model runs on the CPU");
        }
        Some(reason) => {
            tracing::warn!(%reason, "the GPU is not used: the reference model runs on the CPU");
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
    let loaded = kernels::load_encoder(path, &encoder_options(threads))?;
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
    let embedder = Embedder::new(loaded, &config.sketch, score.embeddings);
    Ok(Some(embedder.map_err(EngineError::Sketch)?))
}

/// How the encoder is loaded, with this many threads.
fn encoder_options(threads: usize) -> kernels::LoadOptions {
    kernels::LoadOptions {
        // `score.device` is the reference model's: encoders run on the CPU.
        device: DeviceChoice::Cpu,
        threads,
        ..kernels::LoadOptions::default()
    }
}
