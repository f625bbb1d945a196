//! The forward pass of an encoder: which kernels run over a group, with what, on how many blocks.

use super::encoder::{Buffers, Encoder, Layer, Linear, Norm};
use super::hashes::Layout;
use crate::cuda::device::{Address, Device, SLOTS};
use crate::cuda::error::CudaError;
use crate::cuda::grid::{Grids, launch_product};
use crate::cuda::group::{Group, Sections};
use crate::cuda::kernels::Kernel;
use crate::cuda::parameters::{self, Attention, BertEmbed, LayerNorm, LinearAdd, Parameter, Pool};
use crate::cuda::slots::Forward;
use crate::cuda::tensor::Tensor;
use crate::{Pooling, Wanted};

/// An encoder that gives what is wanted of each group.
pub(super) struct Wanting<'a, D> {
    encoder: &'a mut Encoder<D>,
    wanted: Wanted,
    /// Documents of the group in each slot.
    documents: [usize; SLOTS],
}

/// What a group gives: nothing of what is not wanted.
pub(super) struct Results {
    /// `[documents, C]`.
    pub(super) embeddings: Vec<f32>,
    /// `[documents]`, 0 where the embedding is finite.
    pub(super) checks: Vec<f32>,
    /// `[documents, R]`.
    pub(super) codes: Vec<u16>,
}

impl<'a, D> Wanting<'a, D> {
    /// An encoder with hashes, where codes are wanted.
    pub(super) fn new(encoder: &'a mut Encoder<D>, wanted: Wanted) -> Self {
        Wanting {
            encoder,
            wanted,
            documents: [0; SLOTS],
        }
    }

    /// First and last byte of what comes back of a slot's results.
    fn fetched(&self, slot: usize) -> (usize, usize) {
        let layout = self.encoder.layout(self.documents[slot]);
        match self.wanted {
            Wanted::Embeddings => (0, layout.codes),
            Wanted::Codes => (layout.checks, layout.end),
            Wanted::Both => (0, layout.end),
        }
    }
}

impl<D: Device> Forward for Wanting<'_, D> {
    type Output = Results;

    fn begin(&mut self, slot: usize, group: &Group) -> Result<(), CudaError> {
        let encoder = &mut *self.encoder;
        assert!(
            0 < group.rows && group.rows <= encoder.plan.rows && group.documents <= group.rows,
            "a group fits the buffers planned for it"
        );
        self.documents[slot] = group.documents;
        let place = encoder.slots[slot];
        encoder.device.send(slot, place.inputs, &group.bytes)?;
        let grids = Grids {
            family: encoder.shape.kernels.family,
            rows: group.rows,
            multiprocessors: encoder.device.multiprocessors(),
        };
        let mut pass = Pass {
            sections: group.sections(place.inputs),
            encoder,
            group,
            grids,
        };
        pass.embed()?;
        for layer in 0..pass.encoder.layers.len() {
            pass.layer(layer)?;
        }
        pass.pool(slot)?;
        if self.wanted.codes() {
            pass.codes(slot)?;
        }
        let (from, to) = self.fetched(slot);
        let encoder = &mut *self.encoder;
        let place = place.results.offset(from);
        encoder.device.fetch(slot, place, to - from)
    }

    fn finish(&mut self, slot: usize) -> Result<Results, CudaError> {
        let layout = self.encoder.layout(self.documents[slot]);
        let (from, to) = self.fetched(slot);
        let bytes = self.encoder.device.receive(slot)?;
        // A part that was not fetched is empty.
        let part = |start: usize, end: usize| {
            let place = |byte: usize| byte.clamp(from, to) - from;
            &bytes[place(start)..place(end)]
        };
        Ok(Results {
            embeddings: floats(part(0, layout.checks)),
            checks: floats(part(layout.checks, layout.codes)),
            codes: words(part(layout.codes, layout.end)),
        })
    }
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    let (values, _) = bytes.as_chunks();
    values.iter().copied().map(f32::from_ne_bytes).collect()
}

fn words(bytes: &[u8]) -> Vec<u16> {
    let (values, _) = bytes.as_chunks();
    values.iter().copied().map(u16::from_ne_bytes).collect()
}

/// The launches of one group.
struct Pass<'a, D> {
    encoder: &'a mut Encoder<D>,
    group: &'a Group,
    sections: Sections,
    grids: Grids,
}

impl<D: Device> Pass<'_, D> {
    fn embed(&mut self) -> Result<(), CudaError> {
        let Encoder { shape, buffers, .. } = &*self.encoder;
        let kernel = shape.kernels.embed;
        let Norm { gain, bias } = self.encoder.embedding_norm;
        let parameters = BertEmbed {
            ids: self.sections.ids,
            table: self.encoder.table,
            places: self.encoder.places,
            positions: self.sections.positions,
            gain,
            bias,
            stream: buffers.stream,
            operand: buffers.operand.address,
            epsilon: shape.config.norm_epsilon,
            rows: self.rows(),
            channels: shape.config.width as i32,
            width: shape.width as i32,
        };
        self.launch(kernel, self.by_row(&kernel), &[&parameters])
    }

    fn layer(&mut self, layer: usize) -> Result<(), CudaError> {
        let Layer {
            qkv,
            output,
            attention_norm,
            up,
            down,
            feed_forward_norm,
        } = self.encoder.layers[layer];
        let Buffers {
            attended, hidden, ..
        } = self.encoder.buffers;
        let (width, inside) = (self.encoder.shape.width, self.encoder.shape.hidden);
        self.qkv(qkv)?;
        self.attention()?;
        self.add(attended, output, width)?;
        self.norm(attention_norm)?;
        self.up(up)?;
        self.add(hidden, down, inside)?;
        self.norm(feed_forward_norm)
    }

    fn qkv(&mut self, qkv: Linear) -> Result<(), CudaError> {
        let Encoder { shape, buffers, .. } = &*self.encoder;
        let kernel = shape.kernels.linear;
        let parameters = parameters::Linear {
            out: buffers.qkv,
            columns: 3 * shape.config.width as i32,
            ld_out: shape.qkv as i32,
            ..self.linear(qkv)
        };
        self.project(kernel, qkv.weight, &parameters)
    }

    fn up(&mut self, up: Linear) -> Result<(), CudaError> {
        let Encoder { shape, buffers, .. } = &*self.encoder;
        let kernel = shape.kernels.linear_gelu;
        let parameters = parameters::Linear {
            out: buffers.hidden.address,
            columns: shape.config.hidden as i32,
            ld_out: shape.hidden as i32,
            ..self.linear(up)
        };
        self.project(kernel, up.weight, &parameters)
    }

    /// What both projections of the stream have in common.
    fn linear(&self, linear: Linear) -> parameters::Linear {
        let Encoder { shape, buffers, .. } = &*self.encoder;
        parameters::Linear {
            operand: buffers.operand.address,
            weight: linear.weight.address,
            bias: linear.bias,
            out: buffers.qkv,
            rows: self.rows(),
            inner: shape.width as i32,
            columns: 0,
            ld_out: 0,
        }
    }

    fn project(
        &mut self,
        kernel: Kernel,
        weight: Tensor,
        parameters: &parameters::Linear,
    ) -> Result<(), CudaError> {
        let grid = self.grids.product(&kernel, parameters.columns as usize);
        let operand = self.encoder.buffers.operand;
        self.product(kernel, grid, parameters, (operand, weight))
    }

    fn attention(&mut self) -> Result<(), CudaError> {
        let Encoder { shape, buffers, .. } = &*self.encoder;
        let (config, kernel) = (&shape.config, shape.kernels.attention);
        let parameters = Attention {
            qkv: buffers.qkv,
            out: buffers.attended.address,
            work: self.sections.work,
            scale: std::f32::consts::LOG2_E / (config.head_width() as f32).sqrt(),
            heads: config.heads as i32,
            kv_heads: config.heads as i32,
            head_width: config.head_width() as i32,
            ld: shape.qkv as i32,
            ld_out: shape.width as i32,
        };
        let grid = [self.group.tiles as u32, config.heads as u32, 1];
        self.launch(kernel, grid, &[&parameters])
    }

    /// Adds a projection of `operand` to the stream.
    fn add(&mut self, operand: Tensor, linear: Linear, inner: usize) -> Result<(), CudaError> {
        let Encoder { shape, buffers, .. } = &*self.encoder;
        let kernel = shape.kernels.linear_add;
        let parameters = LinearAdd {
            operand: operand.address,
            weight: linear.weight.address,
            bias: linear.bias,
            stream: buffers.stream,
            rows: self.rows(),
            inner: inner as i32,
            width: shape.width as i32,
        };
        let grid = self.grids.product(&kernel, shape.width);
        self.product(kernel, grid, &parameters, (operand, linear.weight))
    }

    fn norm(&mut self, norm: Norm) -> Result<(), CudaError> {
        let Encoder { shape, buffers, .. } = &*self.encoder;
        let kernel = shape.kernels.layer_norm;
        let parameters = LayerNorm {
            stream: buffers.stream,
            operand: buffers.operand.address,
            gain: norm.gain,
            bias: norm.bias,
            epsilon: shape.config.norm_epsilon,
            rows: self.rows(),
            channels: shape.config.width as i32,
            width: shape.width as i32,
        };
        self.launch(kernel, self.by_row(&kernel), &[&parameters])
    }

    fn pool(&mut self, slot: usize) -> Result<(), CudaError> {
        let Encoder { shape, buffers, .. } = &*self.encoder;
        let (config, kernel) = (&shape.config, shape.kernels.pool);
        let parameters = Pool {
            stream: buffers.stream,
            bounds: self.sections.bounds,
            embeddings: self.result(slot, |_| 0),
            checks: self.result(slot, |layout| layout.checks),
            documents: self.group.documents as i32,
            channels: config.width as i32,
            width: shape.width as i32,
            first_token: i32::from(config.pooling == Pooling::First),
            normalize: i32::from(config.normalised),
        };
        let grid = [self.group.documents as u32, 1, 1];
        self.launch(kernel, grid, &[&parameters])
    }

    fn codes(&mut self, slot: usize) -> Result<(), CudaError> {
        let (shape, documents) = (&self.encoder.shape, self.group.documents);
        let hashes = self
            .encoder
            .hashes
            .expect("codes are asked for with hashes");
        let kernel = shape.kernels.codes;
        let places = (
            self.result(slot, |_| 0),
            self.result(slot, |layout| layout.codes),
        );
        let parameters = hashes.parameters(places, [documents, shape.config.width]);
        self.launch(kernel, hashes.grid(&kernel, documents), &[&parameters])
    }

    /// The address of a part of a slot's results.
    fn result(&self, slot: usize, part: impl Fn(&Layout) -> usize) -> Address {
        let layout = self.encoder.layout(self.group.documents);
        self.encoder.slots[slot].results.offset(part(&layout))
    }

    fn rows(&self) -> i32 {
        self.group.rows as i32
    }

    /// Blocks of a kernel that takes some rows each.
    fn by_row(&self, kernel: &Kernel) -> [u32; 3] {
        [self.grids.row_tiles(kernel), 1, 1]
    }

    fn product(
        &mut self,
        kernel: Kernel,
        grid: [u32; 3],
        parameters: &dyn Parameter,
        operands: (Tensor, Tensor),
    ) -> Result<(), CudaError> {
        // SAFETY: as in `launch`; the operands' maps are made by family.
        unsafe {
            launch_product(
                &mut self.encoder.device,
                &kernel,
                grid,
                parameters,
                operands,
            )
        }
    }

    fn launch(
        &mut self,
        kernel: Kernel,
        grid: [u32; 3],
        arguments: &[&dyn Parameter],
    ) -> Result<(), CudaError> {
        // SAFETY: the methods above give each kernel its own struct of parameters. Every address in
        // them is a buffer that `Plan` sizes for more rows than the group has, or a weight padded to
        // whole tiles.
        unsafe { self.encoder.device.launch(&kernel, grid, arguments) }
    }
}
