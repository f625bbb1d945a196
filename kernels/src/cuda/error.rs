//! Why the CUDA backend cannot start, or stopped: each in one line, with the next step.

use std::fmt;

/// A version of CUDA: of a driver, or of NVRTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// The first number.
    pub major: i32,
    /// The second.
    pub minor: i32,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Why the CUDA backend cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CudaError {
    /// The driver's library is not on the loader's path.
    #[error("no CUDA driver: libcuda.so.1 is not on the loader's path; install NVIDIA's driver")]
    NoDriver,
    /// The driver is older than what NVRTC compiles for.
    #[error(
        "the CUDA driver is of version {found}, and kernels need {needed}; update the driver, or \
         name the directory of an older NVRTC, from 12.0 up, in RIFFLE_NVRTC"
    )]
    DriverOld {
        /// What the driver supports.
        found: Version,
        /// What it must.
        needed: Version,
    },
    /// The driver sees no device.
    #[error(
        "the CUDA driver sees no device; look at nvidia-smi and CUDA_VISIBLE_DEVICES, and give a \
         container its GPUs"
    )]
    NoDevice,
    /// There are fewer devices.
    #[error("there is no device cuda:{ordinal}: the CUDA driver sees {devices}, from cuda:0 on")]
    Ordinal {
        /// The device asked for.
        ordinal: usize,
        /// How many there are.
        devices: usize,
    },
    /// The device lacks instructions that the kernels use.
    #[error(
        "{name} is of compute capability {found}, and kernels need 8.0: an A100, an RTX 30 or \
         newer"
    )]
    Capability {
        /// The device's name.
        name: String,
        /// What it has.
        found: Version,
    },
    /// NVRTC is not to be found.
    #[error(
        "no NVRTC to compile kernels with ({what}); install the CUDA toolkit or the Python package \
         nvidia-cuda-nvrtc, and name its directory in RIFFLE_NVRTC"
    )]
    NoNvrtc {
        /// What the loader says.
        what: String,
    },
    /// NVRTC is too old.
    #[error("NVRTC is of version {version}, and kernels need 12.0; name a newer in RIFFLE_NVRTC")]
    NvrtcOld {
        /// Its version.
        version: Version,
    },
    /// A kernel does not compile.
    #[error("{file} does not compile with {options}: {log}")]
    Compile {
        /// The source file.
        file: &'static str,
        /// The options given.
        options: String,
        /// What the compiler says.
        log: String,
    },
    /// The model and the buffers of a batch do not fit the device.
    #[error(
        "the model needs {weight_bytes} bytes and a batch of {tokens} tokens {batch_bytes} bytes \
         of GPU memory, and {free_bytes} bytes are free; lower score.batch_tokens_max or choose a \
         smaller model"
    )]
    Memory {
        /// Memory for the weights.
        weight_bytes: u64,
        /// The token budget.
        tokens: usize,
        /// Memory for the buffers of a batch.
        batch_bytes: u64,
        /// What the device has left.
        free_bytes: u64,
    },
    /// The kernels are not made for this shape of model.
    #[error("{what} is not supported on the GPU; use device = \"cpu\"")]
    Shape {
        /// The quantity and its value.
        what: String,
    },
    /// A call into the driver failed.
    #[error("CUDA: {call} failed: {what}")]
    Driver {
        /// What was being done.
        call: &'static str,
        /// What the driver says.
        what: String,
    },
}
