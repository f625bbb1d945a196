//! What the forward pass needs of a device, so that the same launches run on a GPU and, in tests,
//! in the emulator.
//!
//! Memory lives as long as its device: everything is planned and taken before the first launch, so
//! nothing is ever given back singly.

use super::error::CudaError;
use super::kernels::Kernel;
use super::parameters::{Parameter, TensorMap};

/// An address in a device's memory.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address(pub(crate) u64);

impl Address {
    /// No memory: for parameters that a kernel does not use.
    pub(crate) const NULL: Address = Address(0);

    /// The address so many bytes on.
    pub(crate) fn offset(self, bytes: usize) -> Address {
        Address(self.0 + bytes as u64)
    }
}

/// Slots in which transfers run beside the computation.
pub(crate) const SLOTS: usize = 2;

/// A matrix of bf16 in rows, as a tensor map describes it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Matrix {
    /// Its first element; a multiple of 16.
    pub(crate) base: Address,
    /// Its rows; rows beyond are read as zeros.
    pub(crate) rows: u64,
    /// Its columns, all of them stored: rows lie `2 · columns` bytes apart, a multiple of 16.
    pub(crate) columns: u64,
}

/// A device that runs kernels one after the other.
pub(crate) trait Device {
    /// How many blocks of a kernel that fills a multiprocessor run at once.
    fn multiprocessors(&self) -> u32;

    /// Zeroed memory, aligned to at least 256 bytes.
    ///
    /// # Errors
    /// [`CudaError::Driver`] when the device has no more.
    fn allocate(&mut self, bytes: usize) -> Result<Address, CudaError>;

    /// Copies bytes to the device; returns when they are there.
    ///
    /// # Errors
    /// [`CudaError::Driver`] when an earlier kernel or the copy failed.
    fn write(&mut self, to: Address, bytes: &[u8]) -> Result<(), CudaError>;

    /// Copies bytes from the device after everything launched before.
    ///
    /// # Errors
    /// [`CudaError::Driver`] when an earlier kernel or the copy failed.
    #[cfg(test)]
    fn read(&mut self, from: Address, bytes: &mut [u8]) -> Result<(), CudaError>;

    /// The tensor map of a matrix whose boxes are `box_rows` by `box_columns`, swizzled by 128
    /// bytes; values outside the matrix are zero.
    ///
    /// # Errors
    /// [`CudaError::Driver`] when the device has no tensor maps or refuses these sizes.
    fn tensor_map(
        &mut self,
        matrix: Matrix,
        box_rows: u32,
        box_columns: u32,
    ) -> Result<TensorMap, CudaError>;

    /// Runs a kernel after everything launched and sent before; need not wait for its end.
    ///
    /// # Errors
    /// [`CudaError::Driver`] when the launch, or an earlier kernel, failed.
    ///
    /// # Safety
    /// The arguments are those that the kernel declares, in order, and every address in them
    /// points into this device's memory with as many bytes behind it as the sizes beside it say.
    unsafe fn launch(
        &mut self,
        kernel: &Kernel,
        grid: [u32; 3],
        arguments: &[&dyn Parameter],
    ) -> Result<(), CudaError>;

    /// Sends bytes to the device beside what is computed there; later launches see them.
    ///
    /// The slot's last transfer back must have been taken with [`Device::receive`]: what is sent
    /// may otherwise overwrite what a kernel still reads.
    ///
    /// # Errors
    /// [`CudaError::Driver`] when the copy, or an earlier kernel, failed.
    fn send(&mut self, slot: usize, to: Address, bytes: &[u8]) -> Result<(), CudaError>;

    /// Begins to copy `bytes` bytes back after everything launched before, beside what follows.
    ///
    /// # Errors
    /// [`CudaError::Driver`] when the copy, or an earlier kernel, failed.
    fn fetch(&mut self, slot: usize, from: Address, bytes: usize) -> Result<(), CudaError>;

    /// What the slot's last [`Device::fetch`] brought; waits for it.
    ///
    /// # Errors
    /// [`CudaError::Driver`] when the copy, or an earlier kernel, failed.
    fn receive(&mut self, slot: usize) -> Result<&[u8], CudaError>;
}
