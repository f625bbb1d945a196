//! Matrices on a device as the kernels' products read them.

use super::device::{Address, Device, Matrix};
use super::error::CudaError;
use super::kernels::{Family, Kernel};
use super::packed::Packed;
use super::parameters::TensorMap;
use super::shape::SLICE;

/// A matrix of bf16 that enters a product, with its tensor map where the kernels use one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tensor {
    pub(crate) address: Address,
    pub(crate) map: Option<TensorMap>,
}

impl Tensor {
    /// The matrix at an address, read in boxes of so many rows.
    pub(crate) fn at<D: Device>(
        device: &mut D,
        family: Family,
        address: Address,
        (rows, columns): (usize, usize),
        box_rows: u32,
    ) -> Result<Self, CudaError> {
        let matrix = Matrix {
            base: address,
            rows: rows as u64,
            columns: columns as u64,
        };
        let map = match family {
            Family::Ampere => None,
            Family::Hopper => Some(device.tensor_map(matrix, box_rows, SLICE as u32)?),
        };
        Ok(Tensor { address, map })
    }

    /// A weight, as this kernel reads it.
    pub(crate) fn weight<D: Device>(
        device: &mut D,
        family: Family,
        kernel: &Kernel,
        packed: &Packed,
    ) -> Result<Self, CudaError> {
        let address = upload(device, &packed.values)?;
        let size = (packed.rows, packed.columns);
        Tensor::at(device, family, address, size, kernel.tile_columns)
    }
}

/// Values in memory of their own.
pub(crate) fn upload<D: Device, T: bytemuck::NoUninit>(
    device: &mut D,
    values: &[T],
) -> Result<Address, CudaError> {
    let bytes = bytemuck::cast_slice(values);
    let address = device.allocate(bytes.len())?;
    device.write(address, bytes)?;
    Ok(address)
}
