//! From the number of a device to an encoder on it: probe, plan, compile, load.

use std::path::Path;
use std::sync::Arc;

use super::encoder::Encoder;
use super::model::CudaBert;
use super::plan::Plan;
use super::shape::Shape;
use crate::cuda::budget::{Budget, Planned};
use crate::cuda::error::CudaError;
use crate::cuda::kernels::Family;
use crate::cuda::open::{DeviceReport, batch_tokens};
use crate::cuda::site::Site;
use crate::load::Placed;
use crate::source::SentenceDirectory;
use crate::{EncoderConfig, LoadOptions, Lsh, ModelError};

/// Loads an encoder onto the GPU of this number, with the hashes to make codes by.
///
/// # Errors
/// [`ModelError::Cuda`] when the GPU cannot be used, or not for this encoder; any other error is the
/// directory's.
pub(crate) fn load_encoder(
    directory: &SentenceDirectory,
    lsh: Option<Arc<Lsh>>,
    ordinal: usize,
    options: &LoadOptions,
) -> Result<Placed<dyn crate::Encoder>, ModelError> {
    let site = Site::find(ordinal)?;
    let config = directory.config();
    let (shape, plan) = plan(config, lsh.as_deref(), &site, options)?;
    let gpu = site.open(&site.build(&shape.kernels.all())?)?;
    let document_tokens = options.document_tokens(config.positions);
    let batch_tokens = batch_tokens(plan.rows, document_tokens);
    let encoder = Encoder::load(gpu, shape, plan, directory.tensors(), lsh.as_deref())?;
    Ok(Placed {
        model: Box::new(CudaBert::new(encoder, lsh, site.backend())),
        batch_tokens,
        gpu: Some(site.info().clone()),
    })
}

/// What an encoder of this shape would find on the GPU of this number.
///
/// Compiles the kernels, which a run would do too, and takes no memory for them.
///
/// # Errors
/// [`ModelError::Cuda`] when the GPU cannot be used, or not for this encoder,
/// [`ModelError::Hashes`] when the options' hashes cannot be drawn.
pub fn inspect_encoder(
    config: &EncoderConfig,
    ordinal: usize,
    options: &LoadOptions,
) -> Result<DeviceReport, ModelError> {
    let site = Site::find(ordinal)?;
    let lsh = options.draw_hashes(config.width)?;
    let (shape, plan) = plan(config, lsh.as_ref(), &site, options)?;
    let built = site.build(&shape.kernels.all())?;
    Ok(DeviceReport::new(&site, &plan, &built))
}

/// The least memory that the encoder at `path` needs free on a GPU with these options, in bytes:
/// what a language model that is loaded before it on the same GPU leaves alone when it is given as
/// [`LoadOptions::gpu_bytes_kept`].
///
/// No GPU is looked for, and no weights are read.
///
/// # Errors
/// [`ModelError`]: as [`load_encoder`](crate::load_encoder), but for those of weights and devices.
pub fn encoder_gpu_bytes(path: &Path, options: &LoadOptions) -> Result<u64, ModelError> {
    let directory = SentenceDirectory::open(path)?;
    let config = directory.config();
    let lsh = options.draw_hashes(config.width)?;
    // Buffers are alike in all families.
    let shape = Shape::new(config, Family::Ampere)?;
    let rows = Budget::of(options, config.positions, 0).rows_least();
    Ok(Plan::new(&shape, lsh.as_ref(), rows).needed_bytes())
}

/// The encoder's sizes and its memory on a device.
fn plan(
    config: &EncoderConfig,
    lsh: Option<&Lsh>,
    site: &Site,
    options: &LoadOptions,
) -> Result<(Shape, Plan), CudaError> {
    let shape = Shape::new(config, site.family())?;
    let budget = Budget::of(options, config.positions, site.info().free_bytes);
    let plan = budget.fit(|rows| Plan::new(&shape, lsh, rows))?;
    Ok((shape, plan))
}
