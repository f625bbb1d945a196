//! One encoder layer over all rows of a batch, and the buffers that its steps share.

use rayon::prelude::*;

use super::EncoderConfig;
use super::attention::{self, Block};
use super::weights::LayerPart;
use crate::ModelError;
use crate::cpu::elementwise::{add, gelu, layer_norm};
use crate::cpu::linear::{Linear, PANEL, TILE};
use crate::source::safetensors::Safetensors;

/// A LayerNorm's gain and bias, `[C]` each.
pub(super) struct Norm {
    gain: Vec<f32>,
    bias: Vec<f32>,
    epsilon: f32,
}

impl Norm {
    /// Reads the norm of this name.
    pub(super) fn load(
        tensors: &Safetensors,
        name: &str,
        epsilon: f32,
    ) -> Result<Self, ModelError> {
        Ok(Norm {
            gain: tensors.read(&format!("{name}.weight"))?,
            bias: tensors.read(&format!("{name}.bias"))?,
            epsilon,
        })
    }

    /// Memory of the weights, in bytes.
    pub(super) fn bytes(&self) -> u64 {
        4 * (self.gain.len() + self.bias.len()) as u64
    }

    /// Norms one row, `[C]`.
    #[inline(always)]
    pub(super) fn apply(&self, row: &mut [f32]) {
        layer_norm(row, &self.gain, &self.bias, self.epsilon);
    }
}

/// A projection with its bias.
struct Projection {
    weights: Linear,
    bias: Vec<f32>,
}

impl Projection {
    /// Reads the parts of a layer, one under the other, each of `inputs` channels.
    fn load(
        tensors: &Safetensors,
        layer: usize,
        parts: &[LayerPart],
        inputs: usize,
    ) -> Result<Self, ModelError> {
        let read = |kind: &str| {
            let names = parts.iter().map(|part| part.name(layer));
            let tensors = names.map(|name| tensors.read(&format!("{name}.{kind}")));
            tensors.collect::<Result<Vec<_>, _>>()
        };
        Ok(Projection {
            weights: Linear::stack(&read("weight")?, inputs),
            bias: read("bias")?.concat(),
        })
    }

    fn bytes(&self) -> u64 {
        self.weights.bytes() + 4 * self.bias.len() as u64
    }

    /// A buffer for the projection of one tile.
    fn tile(&self) -> Vec<f32> {
        vec![0.0; TILE * self.weights.out_stride()]
    }

    /// The projected rows, without what fills up the last panel.
    fn rows<'a>(&self, tile: &'a [f32]) -> impl Iterator<Item = &'a [f32]> + use<'a> {
        let width = self.bias.len();
        let rows = tile.chunks_exact(self.weights.out_stride());
        rows.map(move |row| &row[..width])
    }
}

/// What the steps of a layer hand on, for all rows; used again by every layer.
pub(super) struct Scratch {
    /// Queries, keys and values, `[T, 3·C]` in rows `qkv_stride` apart.
    qkv: Vec<f32>,
    qkv_stride: usize,
    /// Output of attention, `[T, C]`.
    attended: Vec<f32>,
}

impl Scratch {
    /// Buffers for a number of rows, which is a multiple of [`TILE`].
    pub(super) fn new(config: &EncoderConfig, rows: usize) -> Self {
        let qkv_stride = (3 * config.width).next_multiple_of(PANEL);
        Scratch {
            qkv: vec![0.0; rows * qkv_stride],
            qkv_stride,
            attended: vec![0.0; rows * config.width],
        }
    }
}

/// The weights of a layer.
pub(super) struct Layer {
    /// Queries over keys over values, `[3·C, C]`.
    qkv: Projection,
    output: Projection,
    attention_norm: Norm,
    up: Projection,
    down: Projection,
    feed_forward_norm: Norm,
}

impl Layer {
    /// Reads the weights of layer `layer`.
    pub(super) fn load(
        config: &EncoderConfig,
        tensors: &Safetensors,
        layer: usize,
    ) -> Result<Self, ModelError> {
        use LayerPart::{AttentionNorm, Down, FeedForwardNorm, Key, Output, Query, Up, Value};
        let read = |parts: &[LayerPart], inputs| Projection::load(tensors, layer, parts, inputs);
        let norm = |part: LayerPart| Norm::load(tensors, &part.name(layer), config.norm_epsilon);
        Ok(Layer {
            qkv: read(&[Query, Key, Value], config.width)?,
            output: read(&[Output], config.width)?,
            attention_norm: norm(AttentionNorm)?,
            up: read(&[Up], config.width)?,
            down: read(&[Down], config.hidden)?,
            feed_forward_norm: norm(FeedForwardNorm)?,
        })
    }

    /// Memory of the weights, in bytes.
    pub(super) fn bytes(&self) -> u64 {
        let projections = [&self.qkv, &self.output, &self.up, &self.down];
        let norms = self.attention_norm.bytes() + self.feed_forward_norm.bytes();
        projections.iter().map(|p| p.bytes()).sum::<u64>() + norms
    }

    /// Queries, keys and values of all rows.
    pub(super) fn project(&self, config: &EncoderConfig, stream: &[f32], scratch: &mut Scratch) {
        let stride = scratch.qkv_stride;
        let tiles = scratch.qkv.par_chunks_mut(TILE * stride);
        let tiles = tiles.zip(stream.par_chunks(TILE * config.width));
        tiles.for_each(|(qkv, stream)| {
            self.qkv.weights.apply(stream, qkv);
            let rows = qkv.chunks_exact_mut(stride);
            pulp::Arch::new().dispatch(
                #[inline(always)]
                || {
                    for row in rows {
                        add(row, &self.qkv.bias);
                    }
                },
            );
        });
    }

    /// Attention of all blocks, to `scratch.attended`.
    pub(super) fn attend(&self, config: &EncoderConfig, blocks: &[Block], scratch: &mut Scratch) {
        let mut rest = scratch.attended.as_mut_slice();
        let mut work = Vec::with_capacity(blocks.len());
        for block in blocks {
            let (own, others) = rest.split_at_mut(block.queries.len() * config.width);
            work.push((block, own));
            rest = others;
        }
        let (qkv, stride) = (&scratch.qkv, scratch.qkv_stride);
        work.into_par_iter()
            .for_each_init(attention::Scratch::default, |scratch, (block, out)| {
                attention::attend(config, qkv, stride, block, scratch, out);
            });
    }

    /// Attention's output projection and the feed-forward network, each added to the stream and
    /// normed after it.
    pub(super) fn finish(&self, config: &EncoderConfig, stream: &mut [f32], scratch: &Scratch) {
        let tiles = stream.par_chunks_mut(TILE * config.width);
        let tiles = tiles.zip(scratch.attended.par_chunks(TILE * config.width));
        tiles.for_each_init(
            || FeedForward::new(self),
            |buffers, (stream, attended)| {
                self.output.weights.apply(attended, &mut buffers.to_stream);
                add_and_norm(
                    stream,
                    &self.output,
                    &buffers.to_stream,
                    &self.attention_norm,
                );
                self.up.weights.apply(stream, &mut buffers.up);
                self.activate(buffers);
                self.down
                    .weights
                    .apply(&buffers.hidden, &mut buffers.to_stream);
                add_and_norm(
                    stream,
                    &self.down,
                    &buffers.to_stream,
                    &self.feed_forward_norm,
                );
            },
        );
    }

    /// GELU of the first projection, to `buffers.hidden`.
    fn activate(&self, buffers: &mut FeedForward) {
        let rows = buffers.hidden.chunks_exact_mut(self.down.weights.inputs());
        let rows = rows.zip(self.up.rows(&buffers.up));
        pulp::Arch::new().dispatch(
            #[inline(always)]
            || {
                for (hidden, up) in rows {
                    gelu(up, &self.up.bias, hidden);
                }
            },
        );
    }
}

/// Adds a projection with its bias to a tile of the stream, and norms the rows.
fn add_and_norm(stream: &mut [f32], projection: &Projection, projected: &[f32], norm: &Norm) {
    let rows = stream.chunks_exact_mut(projection.bias.len());
    let rows = rows.zip(projection.rows(projected));
    pulp::Arch::new().dispatch(
        #[inline(always)]
        || {
            for (row, projected) in rows {
                add(row, projected);
                add(row, &projection.bias);
                norm.apply(row);
            }
        },
    );
}

/// Memory that one thread needs for the second half of a layer, one tile each.
struct FeedForward {
    up: Vec<f32>,
    hidden: Vec<f32>,
    to_stream: Vec<f32>,
}

impl FeedForward {
    fn new(layer: &Layer) -> Self {
        FeedForward {
            up: layer.up.tile(),
            hidden: vec![0.0; TILE * layer.down.weights.inputs()],
            to_stream: layer.output.tile(),
        }
    }
}
