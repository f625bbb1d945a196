//! The reference model and encoders on an NVIDIA GPU, in bf16 with f32 accumulation.
//!
//! Kernels are compiled for the device found by NVRTC, so the binary needs nothing of CUDA to be
//! built or to start. The forward passes are written against [`device::Device`]; tests run them in an
//! emulator on the CPU.

mod bert;
mod budget;
mod compile;
#[cfg(test)]
mod compile_tests;
mod decoder;
mod device;
#[cfg(test)]
mod emulated;
mod error;
mod forward;
#[cfg(test)]
mod forward_tests;
mod gpu;
mod grid;
mod group;
mod kernels;
mod model;
mod nvrtc;
mod open;
mod packed;
mod parameters;
mod plan;
mod probe;
mod ptxas;
mod shape;
mod site;
mod slots;
mod sources;
mod tensor;
#[cfg(test)]
mod tests;
mod weights;
mod work;

pub(crate) use bert::load_encoder;
pub use bert::{encoder_gpu_bytes, inspect_encoder};
pub use error::{CudaError, Version};
pub(crate) use open::load;
pub use open::{DeviceReport, inspect, probe};
pub use probe::DeviceInfo;
pub use ptxas::Resources;
pub use site::KernelReport;
