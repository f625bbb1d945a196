//! The emulator as a [`Device`]: launches run to their end at once, transfers too.

use std::ffi::c_void;

use super::{Emulated, Memory, Policy};
use crate::cuda::device::{Address, Device, Matrix, SLOTS};
use crate::cuda::error::CudaError;
use crate::cuda::kernels::Kernel;
use crate::cuda::parameters::{Parameter, TensorMap};

/// Blocks of a persistent kernel: few, so that each takes several tiles, and odd.
const MULTIPROCESSORS: u32 = 3;

/// An emulated GPU.
pub(crate) struct EmulatedDevice {
    emulated: Emulated,
    memory: Vec<Memory<u8>>,
    fetched: [Vec<u8>; SLOTS],
}

impl EmulatedDevice {
    /// One whose launches follow `policy`.
    pub(crate) fn new(policy: Policy) -> Self {
        EmulatedDevice {
            emulated: Emulated::new(policy),
            memory: Vec::new(),
            fetched: Default::default(),
        }
    }

    /// Memory that was allocated, without rounding.
    pub(crate) fn allocated_bytes(&self) -> u64 {
        self.memory.iter().map(|memory| memory.len() as u64).sum()
    }

    /// The values that begin at an address.
    fn bytes(&self, address: Address, count: usize) -> *mut u8 {
        let inside = |memory: &&Memory<u8>| {
            let start = memory.address();
            start <= address.0 && address.0 + count as u64 <= start + memory.len() as u64
        };
        assert!(
            self.memory.iter().any(|memory| inside(&memory)),
            "a transfer of {count} bytes leaves its buffer"
        );
        address.0 as *mut u8
    }
}

fn reported(call: &'static str) -> impl Fn(String) -> CudaError {
    move |what| CudaError::Driver { call, what }
}

impl Device for EmulatedDevice {
    fn multiprocessors(&self) -> u32 {
        MULTIPROCESSORS
    }

    fn allocate(&mut self, bytes: usize) -> Result<Address, CudaError> {
        let memory = self.emulated.upload(&vec![0u8; bytes]);
        let address = memory.address();
        self.memory.push(memory);
        Ok(Address(address))
    }

    fn write(&mut self, to: Address, bytes: &[u8]) -> Result<(), CudaError> {
        let to = self.bytes(to, bytes.len());
        // SAFETY: `bytes` checked that the memory is there; launches have ended.
        unsafe { to.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        Ok(())
    }

    fn read(&mut self, from: Address, bytes: &mut [u8]) -> Result<(), CudaError> {
        let from = self.bytes(from, bytes.len());
        // SAFETY: `bytes` checked that the memory is there; launches have ended.
        unsafe { from.copy_to_nonoverlapping(bytes.as_mut_ptr(), bytes.len()) };
        Ok(())
    }

    fn tensor_map(
        &mut self,
        matrix: Matrix,
        box_rows: u32,
        box_columns: u32,
    ) -> Result<TensorMap, CudaError> {
        let base = matrix.base.0 as *const c_void;
        let sizes = [matrix.rows, matrix.columns, 2 * matrix.columns];
        let map = self
            .emulated
            .tensor_map(base, sizes, [box_rows, box_columns])
            .map_err(reported("making a tensor map"))?;
        Ok(TensorMap(map.0))
    }

    unsafe fn launch(
        &mut self,
        kernel: &Kernel,
        grid: [u32; 3],
        arguments: &[&dyn Parameter],
    ) -> Result<(), CudaError> {
        let facts = (kernel.threads, kernel.shared_bytes);
        let arguments: Vec<*mut c_void> = arguments.iter().map(|it| it.address()).collect();
        // SAFETY: passed on to the caller.
        let launched = unsafe {
            self.emulated
                .launch_with(kernel.file, kernel.name, grid, facts, &arguments)
        };
        launched.map_err(reported(kernel.name))
    }

    fn send(&mut self, _: usize, to: Address, bytes: &[u8]) -> Result<(), CudaError> {
        self.write(to, bytes)
    }

    fn fetch(&mut self, slot: usize, from: Address, bytes: usize) -> Result<(), CudaError> {
        let mut fetched = vec![0; bytes];
        self.read(from, &mut fetched)?;
        self.fetched[slot] = fetched;
        Ok(())
    }

    fn receive(&mut self, slot: usize) -> Result<&[u8], CudaError> {
        Ok(&self.fetched[slot])
    }
}
