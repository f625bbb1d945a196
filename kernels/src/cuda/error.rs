//! Why the CUDA backend cannot start, or stopped: each in one line, with the next step.

/// Why the CUDA backend cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CudaError {
    /// The driver's library is not on the loader's path.
    #[error("no CUDA driver: libcuda.so.1 cannot be loaded; install NVIDIA's driver")]
    NoDriver,
    /// A call into the driver failed.
    #[error("CUDA: {call} failed: {what}")]
    Driver {
        /// What was being done.
        call: &'static str,
        /// What the driver says.
        what: String,
    },
}
