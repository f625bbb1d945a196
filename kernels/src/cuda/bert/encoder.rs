//! An encoder's weights, hashes and buffers on a device, all there before the first launch.

use super::hashes::Hashes;
use super::plan::Plan;
use super::shape::Shape;
use super::weights;
use crate::bert::weights::{EMBEDDING_NORM, LayerPart};
use crate::cuda::device::{Address, Device, SLOTS};
use crate::cuda::error::CudaError;
use crate::cuda::kernels::Kernel;
use crate::cuda::tensor::{Tensor, upload};
use crate::source::safetensors::Safetensors;
use crate::{Lsh, ModelError};

/// An encoder that is loaded on a device.
pub(crate) struct Encoder<D> {
    pub(super) device: D,
    pub(super) shape: Shape,
    pub(super) plan: Plan,
    pub(super) buffers: Buffers,
    pub(super) slots: [Slot; SLOTS],
    /// `[V, Cp]` bf16.
    pub(super) table: Address,
    /// `[positions, Cp]` f32.
    pub(super) places: Address,
    pub(super) embedding_norm: Norm,
    pub(super) layers: Vec<Layer>,
    pub(super) hashes: Option<Hashes>,
}

/// What the kernels of a pass hand on, for all rows; used again by every layer.
pub(super) struct Buffers {
    pub(super) stream: Address,
    pub(super) operand: Tensor,
    pub(super) qkv: Address,
    pub(super) attended: Tensor,
    pub(super) hidden: Tensor,
}

/// What goes to the device and comes back, once for each group in flight.
#[derive(Clone, Copy)]
pub(super) struct Slot {
    pub(super) inputs: Address,
    /// As [`Layout`](super::hashes::Layout) has it.
    pub(super) results: Address,
}

/// A LayerNorm on the device.
#[derive(Clone, Copy)]
pub(super) struct Norm {
    pub(super) gain: Address,
    pub(super) bias: Address,
}

/// A projection on the device.
#[derive(Clone, Copy)]
pub(super) struct Linear {
    pub(super) weight: Tensor,
    pub(super) bias: Address,
}

/// The weights of a layer.
#[derive(Clone, Copy)]
pub(super) struct Layer {
    pub(super) qkv: Linear,
    pub(super) output: Linear,
    pub(super) attention_norm: Norm,
    pub(super) up: Linear,
    pub(super) down: Linear,
    pub(super) feed_forward_norm: Norm,
}

impl<D: Device> Encoder<D> {
    /// Takes the memory planned, and fills it with the model's weights and the hashes.
    ///
    /// # Errors
    /// [`ModelError::Cuda`] when the device fails; any other when a weight cannot be read.
    pub(crate) fn load(
        mut device: D,
        shape: Shape,
        plan: Plan,
        tensors: &Safetensors,
        lsh: Option<&Lsh>,
    ) -> Result<Self, ModelError> {
        let buffers = Buffers::new(&mut device, &shape, &plan)?;
        let mut slot = || -> Result<Slot, CudaError> {
            Ok(Slot {
                inputs: device.allocate(plan.inputs)?,
                results: device.allocate(plan.results)?,
            })
        };
        let slots = [slot()?, slot()?];
        let table = upload(&mut device, &weights::table(&shape, tensors)?.values)?;
        let places = upload(&mut device, &weights::places(&shape, tensors)?)?;
        let hashes = lsh.map(|lsh| Hashes::load(&mut device, lsh)).transpose()?;
        let mut reader = Reader {
            device: &mut device,
            shape: &shape,
            tensors,
        };
        let embedding_norm = reader.norm(EMBEDDING_NORM)?;
        let layers = (0..shape.config.layers).map(|layer| reader.layer(layer));
        Ok(Encoder {
            layers: layers.collect::<Result<_, _>>()?,
            device,
            shape,
            plan,
            buffers,
            slots,
            table,
            places,
            embedding_norm,
            hashes,
        })
    }
}

impl Buffers {
    fn new<D: Device>(device: &mut D, shape: &Shape, plan: &Plan) -> Result<Self, CudaError> {
        let kernels = &shape.kernels;
        let mut operand = |bytes: usize, columns: usize| {
            let address = device.allocate(bytes)?;
            let size = (plan.rows, columns);
            let box_rows = kernels.linear.tile_rows;
            Tensor::at(device, kernels.family, address, size, box_rows)
        };
        Ok(Buffers {
            operand: operand(plan.operand, shape.width)?,
            attended: operand(plan.attended, shape.width)?,
            hidden: operand(plan.hidden, shape.hidden)?,
            stream: device.allocate(plan.stream)?,
            qkv: device.allocate(plan.qkv)?,
        })
    }
}

/// Brings weights from their files to the device.
struct Reader<'a, D> {
    device: &'a mut D,
    shape: &'a Shape,
    tensors: &'a Safetensors,
}

impl<D: Device> Reader<'_, D> {
    fn layer(&mut self, layer: usize) -> Result<Layer, ModelError> {
        use LayerPart::{AttentionNorm, Down, FeedForwardNorm, Key, Output, Query, Up, Value};
        let Shape {
            config,
            kernels,
            width,
            hidden,
            ..
        } = self.shape;
        let (stream, inside) = ((config.width, *width), (config.hidden, *hidden));
        Ok(Layer {
            qkv: self.linear(&kernels.linear, layer, &[Query, Key, Value], stream)?,
            output: self.linear(&kernels.linear_add, layer, &[Output], stream)?,
            attention_norm: self.norm(&AttentionNorm.name(layer))?,
            up: self.linear(&kernels.linear_gelu, layer, &[Up], stream)?,
            down: self.linear(&kernels.linear_add, layer, &[Down], inside)?,
            feed_forward_norm: self.norm(&FeedForwardNorm.name(layer))?,
        })
    }

    fn linear(
        &mut self,
        kernel: &Kernel,
        layer: usize,
        parts: &[LayerPart],
        inputs: (usize, usize),
    ) -> Result<Linear, ModelError> {
        let linear = weights::linear(self.tensors, layer, parts, inputs)?;
        let family = self.shape.kernels.family;
        Ok(Linear {
            weight: Tensor::weight(self.device, family, kernel, &linear.weight)?,
            bias: upload(self.device, &linear.bias)?,
        })
    }

    fn norm(&mut self, name: &str) -> Result<Norm, ModelError> {
        let norm = weights::norm(self.shape, self.tensors, name)?;
        Ok(Norm {
            gain: upload(self.device, &norm.gain)?,
            bias: upload(self.device, &norm.bias)?,
        })
    }
}
