//! From the number of a device to a decoder on it: probe, plan, compile, load.

use super::budget::{Budget, Planned};
use super::decoder::Decoder;
use super::device::SLOTS;
use super::error::{CudaError, Version};
use super::model::CudaLlama;
use super::plan::Plan;
use super::probe::{self, DeviceInfo};
use super::shape::Shape;
use super::site::{Built, KernelReport, Site};
use crate::load::Placed;
use crate::source::Source;
use crate::{Config, LanguageModel, LoadOptions, ModelError};

/// What a model would find on a device: for people who want to know before they run.
#[derive(Clone, Debug)]
pub struct DeviceReport {
    /// The device.
    pub device: DeviceInfo,
    /// The arithmetic that scores would depend on, as in [`ModelInfo`](crate::ModelInfo).
    pub backend: String,
    /// The version of the compiler.
    pub nvrtc: Version,
    /// Tokens computed at once.
    pub batch_tokens: usize,
    /// Memory that the weights take.
    pub weight_bytes: u64,
    /// Memory that a batch takes.
    pub batch_bytes: u64,
    /// The kernels, in the order of the forward pass.
    pub kernels: Vec<KernelReport>,
}

impl DeviceReport {
    /// The report of a model that is planned and whose kernels are compiled.
    pub(crate) fn new(site: &Site, plan: &impl Planned, built: &Built) -> Self {
        DeviceReport {
            device: site.info().clone(),
            backend: site.backend(),
            nvrtc: built.nvrtc,
            batch_tokens: plan.rows(),
            weight_bytes: plan.weight_bytes(),
            batch_bytes: plan.batch_bytes(),
            kernels: built.reports(),
        }
    }
}

/// Loads a model onto the GPU of this number.
///
/// # Errors
/// [`ModelError::Cuda`] when the GPU cannot be used, or not for this model; any other error is the
/// source's.
pub(crate) fn load(
    source: &mut dyn Source,
    separator: u32,
    ordinal: usize,
    options: &LoadOptions,
) -> Result<Placed<dyn LanguageModel>, ModelError> {
    let site = Site::find(ordinal)?;
    let (shape, plan) = plan(source.config(), &site, options)?;
    let gpu = site.open(&site.build(&shape.kernels.all())?)?;
    let document_tokens = options.document_tokens(source.config().context);
    let batch_tokens = batch_tokens(plan.rows, document_tokens);
    let decoder = Decoder::load(gpu, shape, plan, source)?;
    let model = CudaLlama::new(decoder, separator, site.backend());
    Ok(Placed {
        model: Box::new(model),
        batch_tokens,
        gpu: Some(site.info().clone()),
    })
}

/// Tokens of a batch that is best handed over, to a model that computes on so many rows at once.
///
/// Two groups a call, so that one is prepared and sent while the other is computed; a batch is
/// handed over once it has reached its size, and each group ends with a whole document.
pub(crate) fn batch_tokens(rows: usize, document_tokens: usize) -> usize {
    rows.max(SLOTS * rows.saturating_sub(document_tokens))
}

/// What a model of this shape would find on the GPU of this number.
///
/// Compiles the kernels, which a run would do too, and takes no memory for them.
///
/// # Errors
/// [`CudaError`] when the GPU cannot be used, or not for this model.
pub fn inspect(
    config: &Config,
    ordinal: usize,
    options: &LoadOptions,
) -> Result<DeviceReport, CudaError> {
    let site = Site::find(ordinal)?;
    let (shape, plan) = plan(config, &site, options)?;
    let built = site.build(&shape.kernels.all())?;
    Ok(DeviceReport::new(&site, &plan, &built))
}

/// The GPU of this number.
///
/// # Errors
/// [`CudaError`] when there is none that kernels can run on.
pub fn probe(ordinal: usize) -> Result<DeviceInfo, CudaError> {
    Ok(probe::open(ordinal)?.info)
}

/// The model's sizes and its memory on a device.
fn plan(config: &Config, site: &Site, options: &LoadOptions) -> Result<(Shape, Plan), CudaError> {
    let shape = Shape::new(config, site.family())?;
    let budget = Budget::of(options, config.context, site.info().free_bytes);
    let plan = budget.fit(|rows| Plan::new(&shape, rows))?;
    Ok((shape, plan))
}
