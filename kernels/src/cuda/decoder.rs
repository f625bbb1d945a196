//! A decoder's weights and buffers on a device, all there before the first launch.

use super::device::{Address, Device};
use super::error::CudaError;
use super::kernels::Kernels;
use super::plan::Plan;
use super::shape::Shape;
use super::tensor::{Tensor, upload};
use super::weights;
use crate::ModelError;
use crate::llama::rope::Rope;
use crate::source::{LayerPart, Part, Source};

/// A decoder that is loaded on a device.
pub(crate) struct Decoder<D> {
    pub(super) device: D,
    pub(super) shape: Shape,
    pub(super) plan: Plan,
    pub(super) buffers: Buffers,
    pub(super) slots: [Slot; super::device::SLOTS],
    pub(super) embedding: Address,
    pub(super) layers: Vec<Layer>,
    pub(super) head: Tensor,
}

/// What the kernels of a pass hand on, for all rows; used again by every layer.
pub(super) struct Buffers {
    pub(super) stream: Address,
    pub(super) operand: Tensor,
    pub(super) squares: Address,
    pub(super) qkv: Address,
    pub(super) attended: Tensor,
    pub(super) hidden: Tensor,
    pub(super) partial: Address,
    pub(super) cosines: Address,
    pub(super) sines: Address,
}

/// What goes to the device and comes back, once for each group in flight.
#[derive(Clone, Copy)]
pub(super) struct Slot {
    pub(super) inputs: Address,
    pub(super) nll_nats: Address,
}

/// The weights of a layer.
pub(super) struct Layer {
    pub(super) qkv: Tensor,
    pub(super) output: Tensor,
    pub(super) gate_up: Tensor,
    pub(super) down: Tensor,
}

impl<D: Device> Decoder<D> {
    /// Takes the memory planned, and fills it with the model's weights.
    ///
    /// # Errors
    /// [`ModelError::Cuda`] when the device fails; any other when the source does.
    pub(crate) fn load(
        mut device: D,
        shape: Shape,
        plan: Plan,
        source: &mut dyn Source,
    ) -> Result<Self, ModelError> {
        let buffers = Buffers::new(&mut device, &shape, &plan)?;
        let mut slot = || -> Result<Slot, CudaError> {
            Ok(Slot {
                inputs: device.allocate(plan.inputs)?,
                nll_nats: device.allocate(plan.nll_nats)?,
            })
        };
        let slots = [slot()?, slot()?];
        let table = source.tensor(Part::Embedding)?;
        let embedding = upload(&mut device, &weights::embedding(&shape, &table).values)?;
        let layers = (0..shape.config.layers)
            .map(|layer| Layer::load(&mut device, &shape, source, layer))
            .collect::<Result<Vec<_>, _>>()?;
        let table = match shape.config.tied {
            true => table,
            false => source.tensor(Part::Head)?,
        };
        let packed = weights::head(&shape, &table, &source.tensor(Part::FinalNorm)?);
        let Kernels { family, head, .. } = &shape.kernels;
        let head = Tensor::weight(&mut device, *family, head, &packed)?;
        Ok(Decoder {
            device,
            shape,
            plan,
            buffers,
            slots,
            embedding,
            layers,
            head,
        })
    }
}

impl Buffers {
    fn new<D: Device>(device: &mut D, shape: &Shape, plan: &Plan) -> Result<Self, CudaError> {
        let mut operand = |bytes: usize, columns: usize| {
            let address = device.allocate(bytes)?;
            let size = (plan.rows, columns);
            let box_rows = shape.kernels.qkv.tile_rows;
            Tensor::at(device, shape.kernels.family, address, size, box_rows)
        };
        let (stream_operand, attended, hidden) = (
            operand(plan.operand, shape.width)?,
            operand(plan.attended, shape.attended)?,
            operand(plan.hidden, shape.hidden)?,
        );
        let [cosines, sines] = angles(device, shape, plan)?;
        Ok(Buffers {
            stream: device.allocate(plan.stream)?,
            operand: stream_operand,
            squares: device.allocate(plan.squares)?,
            qkv: device.allocate(plan.qkv)?,
            attended,
            hidden,
            partial: device.allocate(plan.partial)?,
            cosines,
            sines,
        })
    }
}

impl Layer {
    fn load<D: Device>(
        device: &mut D,
        shape: &Shape,
        source: &mut dyn Source,
        layer: usize,
    ) -> Result<Self, ModelError> {
        let mut read = |part| source.tensor(Part::Layer(layer, part));
        let (kernels, family) = (shape.kernels, shape.kernels.family);
        let [q, k, v] = [
            read(LayerPart::Query)?,
            read(LayerPart::Key)?,
            read(LayerPart::Value)?,
        ];
        let qkv = weights::qkv(shape, [&q, &k, &v], &read(LayerPart::AttentionNorm)?);
        let output = weights::output(shape, &read(LayerPart::Output)?);
        let (gate, up) = (read(LayerPart::Gate)?, read(LayerPart::Up)?);
        let gate_up = weights::gate_up(shape, &gate, &up, &read(LayerPart::FeedForwardNorm)?);
        let down = weights::down(shape, &read(LayerPart::Down)?);
        let mut weight = |kernel, packed| Tensor::weight(device, family, kernel, packed);
        Ok(Layer {
            qkv: weight(&kernels.qkv, &qkv)?,
            output: weight(&kernels.residual, &output)?,
            gate_up: weight(&kernels.gate_up, &gate_up)?,
            down: weight(&kernels.residual, &down)?,
        })
    }
}

/// The angles of rotary embedding, for every position that a row can have.
fn angles<D: Device>(
    device: &mut D,
    shape: &Shape,
    plan: &Plan,
) -> Result<[Address; 2], CudaError> {
    let mut rope = Rope::new(shape.config.rope_base, shape.config.head_width);
    rope.reach(plan.rows.min(shape.config.context));
    let [cosines, sines] = rope.tables();
    let mut table = |values: &[f32]| {
        let address = device.allocate(plan.angles)?;
        device.write(address, bytemuck::cast_slice(values))?;
        Ok(address)
    };
    Ok([table(cosines)?, table(sines)?])
}
