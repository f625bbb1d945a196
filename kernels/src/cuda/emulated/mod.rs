//! Kernels on the CPU: what a launch on a GPU would compute, and what it would do wrong.
//!
//! `kernels/emulator` runs the same `.cu` files, compiled by g++ when a test asks for them. Memory
//! starts as NaN and ends where nothing may be touched; a deadlock, a diverged warp or a bad
//! address is an error that says which block and which thread.

mod abi;
mod build;
mod device;
mod hopper_tests;
mod memory;
mod planted;
mod planted_tests;
mod source;
mod tests;

use std::ffi::{CString, c_char, c_void};

pub(crate) use abi::Facts;
pub(crate) use device::EmulatedDevice;
pub(crate) use memory::Memory;

use abi::Library;

/// When asynchronous copies and products are done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub(crate) enum Landing {
    /// As soon as they are issued.
    Early = 0,
    /// As late as the waits for them allow.
    Late = 1,
    /// Copies early and warpgroup products late: shows an operand that is overwritten too soon.
    LateProducts = 2,
    /// Copies late and warpgroup products early.
    LateCopies = 3,
}

/// How launches run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    /// When asynchronous work is done.
    pub(crate) landing: Landing,
    /// 0 runs warps and blocks in order, any other value draws another schedule.
    pub(crate) seed: u32,
    /// Threads of this computer that blocks run on; 0 is one a core.
    pub(crate) host_threads: u32,
}

impl Policy {
    /// Everything early and in order.
    pub(crate) const PLAIN: Policy = Policy {
        landing: Landing::Early,
        seed: 0,
        host_threads: 0,
    };

    /// The policies that a kernel must be right under: each landing, in order and in two other
    /// schedules, one of which lets a warp run as far ahead as it can.
    pub(crate) fn all() -> impl Iterator<Item = Policy> {
        let landings = [
            Landing::Early,
            Landing::Late,
            Landing::LateProducts,
            Landing::LateCopies,
        ];
        landings.into_iter().flat_map(|landing| {
            [0, 5, 7].map(|seed| Policy {
                landing,
                seed,
                host_threads: 0,
            })
        })
    }
}

/// An emulated device; cheap, since compiled kernels are shared by the whole process.
#[derive(Clone, Copy)]
pub(crate) struct Emulated {
    policy: Policy,
    library: &'static Library,
}

impl Emulated {
    /// A device whose launches follow `policy`.
    ///
    /// # Panics
    /// When the emulator cannot be compiled; the message says what is missing.
    pub(crate) fn new(policy: Policy) -> Emulated {
        Emulated {
            policy,
            library: abi::library(),
        }
    }

    /// Memory for `count` values, every byte of it 0xFF: NaN as any float.
    pub(crate) fn poisoned<T: Copy>(&self, count: usize) -> Memory<T> {
        Memory::poisoned(self.library, count)
    }

    /// Memory that holds `values`.
    pub(crate) fn upload<T: Copy>(&self, values: &[T]) -> Memory<T> {
        let mut memory = self.poisoned(values.len());
        memory.write(values);
        memory
    }

    /// Runs a kernel of the source file `file` with the launch that the kernel itself states, and
    /// waits for its end.
    ///
    /// # Errors
    /// What the kernel did wrong, and where.
    ///
    /// # Safety
    /// As [`Emulated::launch_with`].
    pub(crate) unsafe fn launch(
        &self,
        file: &str,
        kernel: &str,
        grid: [u32; 3],
        parameters: &[*mut c_void],
    ) -> Result<(), String> {
        let facts = self.facts(file, kernel);
        // SAFETY: passed on to the caller.
        unsafe {
            self.launch_with(
                file,
                kernel,
                grid,
                (facts.threads, facts.shared_bytes),
                parameters,
            )
        }
    }

    /// The same with so many threads and bytes of dynamic shared memory.
    ///
    /// # Errors
    /// What the kernel did wrong, and where.
    ///
    /// # Safety
    /// `parameters` points at the values that the kernel declares, in order, of the same layout.
    /// Addresses in them may be wrong in any way that ends in a page that cannot be touched.
    pub(crate) unsafe fn launch_with(
        &self,
        file: &str,
        kernel: &str,
        grid: [u32; 3],
        (threads, shared_bytes): (u32, u32),
        parameters: &[*mut c_void],
    ) -> Result<(), String> {
        abi::kernels_of(file);
        let name = CString::new(kernel).expect("kernels' names hold no NUL");
        let mut parameters = parameters.to_vec();
        let Policy {
            landing,
            seed,
            host_threads,
        } = self.policy;
        reported(|error, error_bytes| {
            // SAFETY: the pointers live through the call; the parameters are the caller's promise.
            unsafe {
                (self.library.policy)(landing as i32, seed, host_threads);
                (self.library.launch)(
                    name.as_ptr(),
                    grid.as_ptr(),
                    threads,
                    shared_bytes,
                    parameters.as_mut_ptr(),
                    error,
                    error_bytes,
                )
            }
        })
    }

    /// What a kernel states of its launch.
    ///
    /// # Panics
    /// When `file` does not compile or holds no such kernel.
    pub(crate) fn facts(&self, file: &str, kernel: &str) -> Facts {
        abi::kernels_of(file);
        let name = CString::new(kernel).expect("kernels' names hold no NUL");
        let mut facts = Facts::default();
        // SAFETY: `Facts` is the six integers that the call writes.
        let code = unsafe { (self.library.facts)(name.as_ptr(), &raw mut facts) };
        assert_eq!(code, 0, "{file} holds no kernel {kernel}");
        facts
    }

    /// The tensor map of a row-major bf16 matrix, rows `row_bytes` apart, read in boxes.
    ///
    /// # Errors
    /// Why the hardware would refuse it.
    pub(crate) fn tensor_map(
        &self,
        base: *const c_void,
        [rows, columns, row_bytes]: [u64; 3],
        [box_rows, box_columns]: [u32; 2],
    ) -> Result<TensorMap, String> {
        let mut map = TensorMap([0; 16]);
        reported(|error, error_bytes| {
            // SAFETY: `map` has the 128 bytes that are written; nothing is read through `base`.
            unsafe {
                (self.library.tensor_map)(
                    (&raw mut map).cast(),
                    base,
                    rows,
                    columns,
                    row_bytes,
                    box_rows,
                    box_columns,
                    error,
                    error_bytes,
                )
            }
        })?;
        Ok(map)
    }
}

/// A tensor map as kernels take it: 128 bytes, 64-byte aligned.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug)]
pub(crate) struct TensorMap(pub(crate) [u64; 16]);

/// Runs a call that returns 0, or writes a report.
fn reported(call: impl FnOnce(*mut c_char, usize) -> i32) -> Result<(), String> {
    let mut report = [0u8; 4096];
    if call(report.as_mut_ptr().cast(), report.len()) == 0 {
        return Ok(());
    }
    let end = report.iter().position(|&b| b == 0).unwrap_or(report.len());
    Err(String::from_utf8_lossy(&report[..end]).into_owned())
}
