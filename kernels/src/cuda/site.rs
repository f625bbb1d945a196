//! A device that was found, and the kernels compiled for it, before any of its memory is taken.

use std::time::Duration;

use super::compile::{Architecture, Compiled, Compiler, cache_directory};
use super::error::{CudaError, Version};
use super::gpu::Gpu;
use super::kernels::{Family, Kernel};
use super::nvrtc::Nvrtc;
use super::probe::{self, DeviceInfo, Found};
use super::ptxas::Resources;
use super::sources;

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

/// A device that a model could go onto.
pub(crate) struct Site {
    found: Found,
    architecture: Architecture,
}

/// A model's kernels, compiled for a device.
pub(crate) struct Built {
    kernels: Vec<Kernel>,
    files: Vec<Compiled>,
    /// The version of the compiler.
    pub(crate) nvrtc: Version,
}

impl Site {
    /// The device of this number.
    ///
    /// # Errors
    /// [`CudaError`] when there is none that kernels can run on.
    pub(crate) fn find(ordinal: usize) -> Result<Self, CudaError> {
        let found = probe::open(ordinal)?;
        Ok(Site {
            architecture: Architecture::of(found.info.capability),
            found,
        })
    }

    /// What it is, and what was free when it was found.
    pub(crate) fn info(&self) -> &DeviceInfo {
        &self.found.info
    }

    /// The instructions that its products use.
    pub(crate) fn family(&self) -> Family {
        match self.architecture.is_hopper() {
            true => Family::Hopper,
            false => Family::Ampere,
        }
    }

    /// The arithmetic that results depend on, as in [`ModelInfo`](crate::ModelInfo).
    pub(crate) fn backend(&self) -> String {
        format!("cuda {} bf16", self.architecture.name())
    }

    /// Kernels compiled for the device.
    ///
    /// # Errors
    /// [`CudaError`] when there is no NVRTC, or none that suits the driver, or a kernel does not
    /// compile.
    pub(crate) fn build(&self, kernels: &[Kernel]) -> Result<Built, CudaError> {
        let nvrtc = Nvrtc::open()?;
        probe::check_driver(self.found.info.driver, nvrtc.version())?;
        let cache = cache_directory();
        let compiler = Compiler::new(&nvrtc, sources::HEADERS, self.architecture, cache);
        Ok(Built {
            kernels: kernels.to_vec(),
            files: compiler.compile_all(&sources::of(kernels))?,
            nvrtc: nvrtc.version(),
        })
    }

    /// The device with these kernels loaded.
    ///
    /// # Errors
    /// [`CudaError::Driver`] when the driver does not take them.
    pub(crate) fn open(&self, built: &Built) -> Result<Gpu, CudaError> {
        let context = self.found.context.clone();
        Gpu::new(context, &built.files, &built.kernels)
    }
}

impl Built {
    /// The kernels, in the order of the forward pass.
    pub(crate) fn reports(&self) -> Vec<KernelReport> {
        let report = |kernel: &Kernel| {
            self.files.iter().find_map(|file| {
                let named = |it: &&Resources| it.kernel == kernel.name;
                Some(KernelReport {
                    resources: file.resources.iter().find(named)?.clone(),
                    cached: file.cached,
                    took: file.took,
                })
            })
        };
        self.kernels.iter().filter_map(report).collect()
    }
}
