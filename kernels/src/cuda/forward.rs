//! The forward pass: which kernels run over a group, with what, on how many blocks.

use super::decoder::{Buffers, Decoder, Layer};
use super::device::{Address, Device};
use super::error::CudaError;
use super::grid::{Grids, launch_product};
use super::group::{Group, Sections};
use super::kernels::{Family, Kernel};
use super::parameters::{Attention, Documents, Embed, Head, Parameter, Projection, Residual};
use super::slots::Forward;
use super::tensor::Tensor;

impl<D: Device> Forward for Decoder<D> {
    /// Negative log-likelihood of each document, in nats.
    type Output = Vec<f64>;

    fn begin(&mut self, slot: usize, group: &Group) -> Result<(), CudaError> {
        assert!(
            0 < group.rows && group.rows <= self.plan.rows && group.documents <= group.rows,
            "a group fits the buffers planned for it"
        );
        let place = self.slots[slot];
        self.device.send(slot, place.inputs, &group.bytes)?;
        let grids = Grids {
            family: self.shape.kernels.family,
            rows: group.rows,
            multiprocessors: self.device.multiprocessors(),
        };
        let mut pass = Pass {
            sections: group.sections(place.inputs),
            decoder: self,
            group,
            grids,
        };
        pass.embed()?;
        for layer in 0..pass.decoder.layers.len() {
            pass.layer(layer)?;
        }
        pass.head()?;
        pass.documents(place.nll_nats)?;
        self.device.fetch(slot, place.nll_nats, 8 * group.documents)
    }

    fn finish(&mut self, slot: usize) -> Result<Vec<f64>, CudaError> {
        let bytes = self.device.receive(slot)?;
        let (values, _) = bytes.as_chunks();
        Ok(values.iter().copied().map(f64::from_ne_bytes).collect())
    }
}

/// The launches of one group.
struct Pass<'a, D> {
    decoder: &'a mut Decoder<D>,
    group: &'a Group,
    sections: Sections,
    grids: Grids,
}

impl<D: Device> Pass<'_, D> {
    fn embed(&mut self) -> Result<(), CudaError> {
        let shape = &self.decoder.shape;
        let kernel = shape.kernels.embed;
        let Buffers {
            stream,
            operand,
            squares,
            ..
        } = self.decoder.buffers;
        let parameters = Embed {
            ids: self.sections.ids,
            table: self.decoder.embedding,
            stream,
            operand: operand.address,
            squares,
            rows: self.rows(),
            width: shape.width as i32,
        };
        let grid = self
            .grids
            .streaming(self.group.rows * shape.slices(), &kernel);
        self.launch(kernel, grid, &[&parameters])
    }

    fn layer(&mut self, layer: usize) -> Result<(), CudaError> {
        let Layer {
            qkv,
            output,
            gate_up,
            down,
        } = self.decoder.layers[layer];
        let Buffers {
            attended, hidden, ..
        } = self.decoder.buffers;
        let (attended_width, hidden_width) =
            (self.decoder.shape.attended, self.decoder.shape.hidden);
        self.qkv(qkv)?;
        self.attention()?;
        self.residual(attended, output, attended_width)?;
        self.gate_up(gate_up)?;
        self.residual(hidden, down, hidden_width)
    }

    fn qkv(&mut self, weight: Tensor) -> Result<(), CudaError> {
        let shape = &self.decoder.shape;
        let (config, kernel) = (&shape.config, shape.kernels.qkv);
        let buffers = &self.decoder.buffers;
        let columns = config.query_width() + 2 * config.kv_width();
        let parameters = Projection {
            out: buffers.qkv,
            cosines: buffers.cosines,
            sines: buffers.sines,
            positions: self.sections.positions,
            columns: columns as i32,
            ld_out: shape.qkv as i32,
            rotated: (config.query_width() + config.kv_width()) as i32,
            head_width: config.head_width as i32,
            ..self.projection(weight)
        };
        let grid = self.grids.product(&kernel, columns);
        self.product(
            kernel,
            grid,
            &parameters,
            self.decoder.buffers.operand,
            weight,
        )
    }

    fn gate_up(&mut self, weight: Tensor) -> Result<(), CudaError> {
        let (kernel, hidden) = (
            self.decoder.shape.kernels.gate_up,
            self.decoder.shape.hidden,
        );
        let parameters = Projection {
            out: self.decoder.buffers.hidden.address,
            columns: 2 * hidden as i32,
            ld_out: hidden as i32,
            ..self.projection(weight)
        };
        let grid = self.grids.product(&kernel, 2 * hidden);
        self.product(
            kernel,
            grid,
            &parameters,
            self.decoder.buffers.operand,
            weight,
        )
    }

    /// What both projections of the normed stream have in common.
    fn projection(&self, weight: Tensor) -> Projection {
        let (shape, buffers) = (&self.decoder.shape, &self.decoder.buffers);
        Projection {
            operand: buffers.operand.address,
            weight: weight.address,
            out: Address::NULL,
            squares: buffers.squares,
            cosines: Address::NULL,
            sines: Address::NULL,
            positions: Address::NULL,
            norm_epsilon: shape.config.norm_epsilon,
            channels: shape.config.width as i32,
            rows: self.rows(),
            inner: shape.width as i32,
            columns: 0,
            ld_out: 0,
            rotated: 0,
            head_width: shape.config.head_width as i32,
        }
    }

    fn attention(&mut self) -> Result<(), CudaError> {
        let shape = &self.decoder.shape;
        let (config, kernel) = (&shape.config, shape.kernels.attention);
        let parameters = Attention {
            qkv: self.decoder.buffers.qkv,
            out: self.decoder.buffers.attended.address,
            work: self.sections.work,
            scale: std::f32::consts::LOG2_E / (config.head_width as f32).sqrt(),
            heads: config.heads as i32,
            kv_heads: config.kv_heads as i32,
            head_width: config.head_width as i32,
            ld: shape.qkv as i32,
            ld_out: shape.attended as i32,
        };
        let grid = [self.group.tiles as u32, config.kv_heads as u32, 1];
        self.launch(kernel, grid, &[&parameters])
    }

    fn residual(&mut self, operand: Tensor, weight: Tensor, inner: usize) -> Result<(), CudaError> {
        let (kernel, width) = (
            self.decoder.shape.kernels.residual,
            self.decoder.shape.width,
        );
        let buffers = &self.decoder.buffers;
        let parameters = Residual {
            operand: operand.address,
            weight: weight.address,
            stream: buffers.stream,
            operand_out: buffers.operand.address,
            squares: buffers.squares,
            rows: self.rows(),
            inner: inner as i32,
            width: width as i32,
        };
        let grid = self.grids.product(&kernel, width);
        self.product(kernel, grid, &parameters, operand, weight)
    }

    fn head(&mut self) -> Result<(), CudaError> {
        let (shape, buffers) = (&self.decoder.shape, &self.decoder.buffers);
        let (weight, kernel) = (self.decoder.head, shape.kernels.head);
        let parameters = Head {
            operand: buffers.operand.address,
            weight: weight.address,
            squares: buffers.squares,
            targets: self.sections.targets,
            partial: buffers.partial,
            norm_epsilon: shape.config.norm_epsilon,
            channels: shape.config.width as i32,
            rows: self.rows(),
            inner: shape.width as i32,
            vocabulary: shape.config.vocabulary as i32,
            splits: shape.splits as i32,
            split_columns: shape.split_columns as i32,
        };
        let (row_tiles, splits) = (self.grids.row_tiles(&kernel), shape.splits as u32);
        let grid = match shape.kernels.family {
            Family::Ampere => [row_tiles, splits, 1],
            // A block takes two splits at a time, one for each of its consumers.
            Family::Hopper => self.grids.persistent(row_tiles * splits.div_ceil(2)),
        };
        self.product(
            kernel,
            grid,
            &parameters,
            self.decoder.buffers.operand,
            weight,
        )
    }

    fn documents(&mut self, nll_nats: Address) -> Result<(), CudaError> {
        let kernel = self.decoder.shape.kernels.documents;
        let parameters = Documents {
            partial: self.decoder.buffers.partial,
            bounds: self.sections.bounds,
            nll_nats,
            documents: self.group.documents as i32,
            splits: self.decoder.shape.splits as i32,
        };
        let grid = [self.group.documents as u32, 1, 1];
        self.launch(kernel, grid, &[&parameters])
    }

    fn rows(&self) -> i32 {
        self.group.rows as i32
    }

    /// Launches a product, with the tensor maps of its operands where the kernel takes them.
    fn product(
        &mut self,
        kernel: Kernel,
        grid: [u32; 3],
        parameters: &dyn Parameter,
        operand: Tensor,
        weight: Tensor,
    ) -> Result<(), CudaError> {
        // SAFETY: as in `launch`; the operands' maps are made by family.
        unsafe {
            let device = &mut self.decoder.device;
            launch_product(device, &kernel, grid, parameters, (operand, weight))
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
        unsafe { self.decoder.device.launch(&kernel, grid, arguments) }
    }
}
