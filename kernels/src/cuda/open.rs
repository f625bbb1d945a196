//! From the number of a device to a model on it: probe, plan, compile, load.

use std::time::Duration;

use super::compile::{Architecture, Compiled, Compiler, cache_directory};
use super::decoder::Decoder;
use super::device::SLOTS;
use super::error::{CudaError, Version};
use super::gpu::Gpu;
use super::kernels::Family;
use super::model::CudaLlama;
use super::nvrtc::Nvrtc;
use super::plan::Plan;
use super::probe::{self, DeviceInfo, Found};
use super::ptxas::Resources;
use super::shape::Shape;
use super::sources;
use crate::load::Placed;
use crate::source::Source;
use crate::{Config, LoadOptions, ModelError};

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

/// A kernel as it was compiled.
#[derive(Clone, Debug)]
pub struct KernelReport {
    /// What it takes of a multiprocessor.
    pub resources: Resources,
    /// Whether its machine code was found in the cache.
    pub cached: bool,
    /// How long its file took to compile, or to read.
    pub took: Duration,
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
) -> Result<Placed, ModelError> {
    let ready = Ready::new(source.config(), ordinal, options)?;
    let backend = ready.backend();
    let kernels = ready.shape.kernels.all();
    let gpu = Gpu::new(ready.found.context, &ready.compiled, &kernels)?;
    let document_tokens = options.document_tokens(source.config());
    // Two groups a call, so that one is prepared and sent while the other is computed; a batch is
    // handed over once it has reached its size, and each group ends with a whole document.
    let rows = ready.plan.rows;
    let batch_tokens = rows.max(SLOTS * rows.saturating_sub(document_tokens));
    let decoder = Decoder::load(gpu, ready.shape, ready.plan, source)?;
    let model = CudaLlama::new(decoder, separator, backend);
    Ok(Placed {
        model: Box::new(model),
        batch_tokens,
        gpu: Some(ready.found.info),
    })
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
    let ready = Ready::new(config, ordinal, options)?;
    Ok(DeviceReport {
        backend: ready.backend(),
        kernels: reports(&ready.shape, &ready.compiled),
        device: ready.found.info,
        nvrtc: ready.nvrtc,
        batch_tokens: ready.plan.rows,
        weight_bytes: ready.plan.weights,
        batch_bytes: ready.plan.batch_bytes(),
    })
}

/// The GPU of this number.
///
/// # Errors
/// [`CudaError`] when there is none that kernels can run on.
pub fn probe(ordinal: usize) -> Result<DeviceInfo, CudaError> {
    Ok(probe::open(ordinal)?.info)
}

/// Everything that can be known and made before the device's memory is taken.
struct Ready {
    found: Found,
    architecture: Architecture,
    nvrtc: Version,
    shape: Shape,
    plan: Plan,
    compiled: Vec<Compiled>,
}

impl Ready {
    fn new(config: &Config, ordinal: usize, options: &LoadOptions) -> Result<Self, CudaError> {
        let found = probe::open(ordinal)?;
        let architecture = Architecture::of(found.info.capability);
        let family = match architecture.is_hopper() {
            true => Family::Hopper,
            false => Family::Ampere,
        };
        let shape = Shape::new(config, family)?;
        let plan = Plan::fitting(
            &shape,
            options.batch_tokens_max,
            options.document_tokens(config),
            found.info.free_bytes,
        )?;
        let nvrtc = Nvrtc::open()?;
        probe::check_driver(found.info.driver, nvrtc.version())?;
        let sources = sources::of(&shape.kernels.all());
        let compiler = Compiler::new(&nvrtc, sources::HEADERS, architecture, cache_directory());
        Ok(Ready {
            compiled: compiler.compile_all(&sources)?,
            nvrtc: nvrtc.version(),
            found,
            architecture,
            shape,
            plan,
        })
    }

    fn backend(&self) -> String {
        format!("cuda {} bf16", self.architecture.name())
    }
}

fn reports(shape: &Shape, compiled: &[Compiled]) -> Vec<KernelReport> {
    let report = |name: &str| {
        compiled.iter().find_map(|file| {
            let resources = file.resources.iter().find(|it| it.kernel == name)?;
            Some(KernelReport {
                resources: resources.clone(),
                cached: file.cached,
                took: file.took,
            })
        })
    };
    let kernels = shape.kernels.all();
    kernels
        .iter()
        .filter_map(|kernel| report(kernel.name))
        .collect()
}
