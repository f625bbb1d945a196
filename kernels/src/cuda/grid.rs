//! How many blocks the kernels of a group run on.

use super::device::Device;
use super::error::CudaError;
use super::kernels::{Family, Kernel};
use super::parameters::Parameter;
use super::tensor::Tensor;

/// Blocks of a kernel that is bound by memory, for each multiprocessor: any grid will do.
const STREAMING_BLOCKS: u32 = 8;

/// What the grids of a group follow from.
#[derive(Clone, Copy)]
pub(crate) struct Grids {
    pub(crate) family: Family,
    /// Rows of the group.
    pub(crate) rows: usize,
    /// Of the device.
    pub(crate) multiprocessors: u32,
}

impl Grids {
    /// Tiles that the rows are cut into.
    pub(crate) fn row_tiles(&self, kernel: &Kernel) -> u32 {
        (self.rows as u32).div_ceil(kernel.tile_rows)
    }

    /// Blocks of a product of so many columns.
    pub(crate) fn product(&self, kernel: &Kernel, columns: usize) -> [u32; 3] {
        let tiles = self.row_tiles(kernel) * (columns as u32).div_ceil(kernel.tile_columns);
        match self.family {
            Family::Ampere => [tiles, 1, 1],
            Family::Hopper => self.persistent(tiles),
        }
    }

    /// Blocks that stay and share the work: no more than run at once.
    pub(crate) fn persistent(&self, work: u32) -> [u32; 3] {
        [work.min(self.multiprocessors), 1, 1]
    }

    /// Blocks of a kernel that is bound by memory.
    pub(crate) fn streaming(&self, work: usize, kernel: &Kernel) -> [u32; 3] {
        let blocks = work.div_ceil(kernel.tile_rows as usize) as u32;
        [blocks.min(STREAMING_BLOCKS * self.multiprocessors), 1, 1]
    }
}

/// Launches a product, with the tensor maps of its operands where the kernel takes them.
///
/// # Errors
/// As [`Device::launch`].
///
/// # Safety
/// As [`Device::launch`]; the operands have tensor maps exactly in the family that declares them.
pub(crate) unsafe fn launch_product<D: Device>(
    device: &mut D,
    kernel: &Kernel,
    grid: [u32; 3],
    parameters: &dyn Parameter,
    (operand, weight): (Tensor, Tensor),
) -> Result<(), CudaError> {
    // SAFETY: passed on to the caller.
    unsafe {
        match (&operand.map, &weight.map) {
            (Some(operand), Some(weight)) => {
                device.launch(kernel, grid, &[parameters, operand, weight])
            }
            _ => device.launch(kernel, grid, &[parameters]),
        }
    }
}
