//! The hashes that embeddings get codes by, on a device.

use super::encoder::Encoder;
use crate::Lsh;
use crate::cuda::device::{Address, Device};
use crate::cuda::error::CudaError;
use crate::cuda::kernels::Kernel;
use crate::cuda::parameters::Codes;
use crate::cuda::tensor::upload;

/// What was drawn, as the kernel of codes reads it.
#[derive(Clone, Copy)]
pub(super) struct Hashes {
    directions: Address,
    offsets: Address,
    factors: Address,
    addends: Address,
    /// `R`.
    pub(super) rows: usize,
    concatenated: usize,
    cells: usize,
}

/// Memory that hashes take.
pub(super) fn bytes(lsh: &Lsh) -> u64 {
    let tables = lsh.tables();
    let (floats, words) = (
        tables.directions.len() + tables.offsets.len(),
        tables.factors.len() + tables.addends.len(),
    );
    (4 * floats + 8 * words) as u64
}

impl Hashes {
    /// Brings hashes to the device.
    ///
    /// # Errors
    /// [`CudaError::Driver`] when the device fails.
    pub(super) fn load<D: Device>(device: &mut D, lsh: &Lsh) -> Result<Self, CudaError> {
        let (tables, config) = (lsh.tables(), lsh.config());
        Ok(Hashes {
            directions: upload(device, tables.directions)?,
            offsets: upload(device, tables.offsets)?,
            factors: upload(device, &tables.factors)?,
            addends: upload(device, &tables.addends)?,
            rows: config.rows,
            concatenated: config.concatenated,
            cells: config.cells,
        })
    }

    /// What the kernel takes to make the codes of so many embeddings.
    pub(super) fn parameters(
        &self,
        (embeddings, codes): (Address, Address),
        [documents, channels]: [usize; 2],
    ) -> Codes {
        Codes {
            embeddings,
            directions: self.directions,
            offsets: self.offsets,
            factors: self.factors,
            addends: self.addends,
            codes,
            documents: documents as i32,
            channels: channels as i32,
            rows: self.rows as i32,
            concatenated: self.concatenated as i32,
            cells: self.cells as i32,
        }
    }

    /// Blocks for so many documents: each takes some of them, and as many whole rows as its hashes
    /// make.
    pub(super) fn grid(&self, kernel: &Kernel, documents: usize) -> [u32; 3] {
        let rows = kernel.tile_columns as usize / self.concatenated;
        let documents = (documents as u32).div_ceil(kernel.tile_rows);
        [documents, self.rows.div_ceil(rows) as u32, 1]
    }
}

/// Where the results of a group lie behind each other: embeddings, checks, codes.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    /// First byte of the checks.
    pub(super) checks: usize,
    /// First byte of the codes.
    pub(super) codes: usize,
    /// All bytes.
    pub(super) end: usize,
}

impl Layout {
    /// That of so many documents of this width, with so many codes each.
    pub(super) fn new(documents: usize, width: usize, codes: usize) -> Self {
        let checks = 4 * documents * width;
        Layout {
            checks,
            codes: checks + 4 * documents,
            end: checks + 4 * documents + 2 * documents * codes,
        }
    }
}

impl<D> Encoder<D> {
    /// Where a group's results lie.
    pub(super) fn layout(&self, documents: usize) -> Layout {
        let codes = self.hashes.map_or(0, |hashes| hashes.rows);
        Layout::new(documents, self.shape.config.width, codes)
    }
}
