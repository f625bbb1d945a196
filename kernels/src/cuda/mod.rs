//! The reference model on an NVIDIA GPU; tests run its kernels in an emulator on the CPU.

#[cfg(test)]
mod emulated;
