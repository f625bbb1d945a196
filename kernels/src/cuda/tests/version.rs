//! The two versions of a product's kernel, launched alike: what a test checks of one, it can of both.

use super::matrix::Matrix;
use super::{TILE, launch};
use crate::cuda::emulated::{Emulated, Memory};
use crate::cuda::parameters::{Parameter, TensorMap};

/// Columns of a chunk: a box of a tensor map is as wide.
const CHUNK: u32 = 64;

/// Which instructions a product's kernel uses.
#[derive(Clone, Copy, Debug)]
pub(super) enum Version {
    /// mma.sync and cp.async, a block a tile.
    Sm80,
    /// wgmma and the TMA, so many blocks that share the tiles.
    Sm90 { blocks: u32 },
}

/// A matrix that a kernel multiplies, and where it lies.
pub(super) type Operand<'a> = (&'a Memory<u16>, &'a Matrix);

impl Version {
    /// Columns of a tile.
    pub(super) fn tile_columns(self) -> usize {
        match self {
            Version::Sm80 => TILE,
            Version::Sm90 { .. } => 192,
        }
    }

    /// Runs this version of the kernel `name`; `grid` is the sm_80 version's.
    ///
    /// # Panics
    /// With the emulator's report.
    pub(super) fn launch(
        self,
        device: Emulated,
        name: &str,
        grid: [u32; 3],
        parameters: &impl Parameter,
        [operand, weight]: [Operand; 2],
    ) {
        let Version::Sm90 { blocks } = self else {
            return launch(device, name, grid, parameters);
        };
        let (rows, columns) = (TILE as u32, self.tile_columns() as u32);
        let [operand, weight] = [(operand, rows), (weight, columns)]
            .map(|(it, box_rows)| tensor_map(device, it, box_rows));
        let arguments = [parameters.address(), operand.address(), weight.address()];
        let (file, name) = (format!("{name}_sm90.cu"), format!("{name}_sm90"));
        // SAFETY: the tests pass the kernel's own struct, and memory as large as its sizes say.
        let result = unsafe { device.launch(&file, &name, [blocks, 1, 1], &arguments) };
        result.unwrap_or_else(|report| panic!("{report}"));
    }
}

fn tensor_map(device: Emulated, (memory, matrix): Operand, box_rows: u32) -> TensorMap {
    let columns = matrix.stride as u64;
    let size = [matrix.values.len() as u64 / columns, columns, 2 * columns];
    let map = device.tensor_map(memory.base(), size, [box_rows, CHUNK]);
    TensorMap(map.unwrap_or_else(|refusal| panic!("{refusal}")).0)
}
