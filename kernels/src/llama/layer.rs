//! One decoder layer over all rows of a batch, and the buffers that its steps share.

use std::ops::Range;

use rayon::prelude::*;

use super::attention::{self, Block};
use super::rope::Rope;
use crate::cpu::elementwise::{add, rms_norm, swiglu};
use crate::cpu::linear::{Linear, TILE};
use crate::source::{LayerPart, Part, Source};
use crate::{Config, ModelError};

/// What enters the decoder and what it should predict, one row a scored token.
pub(super) struct Rows {
    /// The token that enters: the separator at a document's start, else the token before.
    pub(super) inputs: Vec<u32>,
    /// The token to predict.
    pub(super) targets: Vec<u32>,
    /// Each row's position in its document.
    positions: Vec<usize>,
    /// Rows of each document.
    pub(super) documents: Vec<Range<usize>>,
}

impl Rows {
    /// The rows of documents: each document's tokens, moved on by one behind the separator.
    pub(super) fn new(documents: &[&[u32]], separator: u32) -> Self {
        let mut rows = Rows {
            inputs: Vec::new(),
            targets: documents.concat(),
            positions: Vec::new(),
            documents: Vec::new(),
        };
        for document in documents {
            let start = rows.inputs.len();
            let before = document.split_last().map_or(&[][..], |(_, before)| before);
            if !document.is_empty() {
                rows.inputs.push(separator);
            }
            rows.inputs.extend_from_slice(before);
            rows.positions.extend(0..document.len());
            rows.documents.push(start..rows.inputs.len());
        }
        rows
    }

    /// Rows with those that fill up the last tile.
    pub(super) fn tiled(&self) -> usize {
        self.inputs.len().next_multiple_of(TILE)
    }
}

/// What the steps of a layer hand on, for all rows; used again by every layer.
pub(super) struct Scratch {
    /// Queries, keys and values, `[T, H·D + 2·G·D]` in rows `qkv_stride` apart.
    qkv: Vec<f32>,
    qkv_stride: usize,
    /// Output of attention, `[T, H·D]`.
    attended: Vec<f32>,
}

impl Scratch {
    /// Buffers for a number of rows, which is a multiple of [`TILE`].
    pub(super) fn new(config: &Config, rows: usize) -> Self {
        let qkv_width = config.query_width() + 2 * config.kv_width();
        let qkv_stride = qkv_width.next_multiple_of(crate::cpu::linear::PANEL);
        Scratch {
            qkv: vec![0.0; rows * qkv_stride],
            qkv_stride,
            attended: vec![0.0; rows * config.query_width()],
        }
    }
}

/// The weights of a layer.
pub(super) struct Layer {
    attention_norm: Vec<f32>,
    /// Queries over keys over values, `[H·D + 2·G·D, C]`.
    qkv: Linear,
    output: Linear,
    feed_forward_norm: Vec<f32>,
    gate: Linear,
    up: Linear,
    down: Linear,
}

impl Layer {
    /// Reads the weights of layer `layer`.
    pub(super) fn load(source: &mut dyn Source, layer: usize) -> Result<Self, ModelError> {
        let config = source.config().clone();
        let mut read = |part| source.tensor(Part::Layer(layer, part));
        let projections = [
            read(LayerPart::Query)?,
            read(LayerPart::Key)?,
            read(LayerPart::Value)?,
        ];
        Ok(Layer {
            attention_norm: read(LayerPart::AttentionNorm)?,
            qkv: Linear::stack(&projections, config.width),
            output: Linear::stack(&[read(LayerPart::Output)?], config.query_width()),
            feed_forward_norm: read(LayerPart::FeedForwardNorm)?,
            gate: Linear::stack(&[read(LayerPart::Gate)?], config.width),
            up: Linear::stack(&[read(LayerPart::Up)?], config.width),
            down: Linear::stack(&[read(LayerPart::Down)?], config.hidden),
        })
    }

    /// Memory of the weights, in bytes.
    pub(super) fn bytes(&self) -> u64 {
        let matrices = [&self.qkv, &self.output, &self.gate, &self.up, &self.down];
        let norms = self.attention_norm.len() + self.feed_forward_norm.len();
        matrices.iter().map(|matrix| matrix.bytes()).sum::<u64>() + 4 * norms as u64
    }

    /// Norm, then queries, keys and values of all rows, turned to their positions.
    pub(super) fn project(
        &self,
        config: &Config,
        rope: &Rope,
        rows: &Rows,
        stream: &[f32],
        scratch: &mut Scratch,
    ) {
        let stride = scratch.qkv_stride;
        let turned = config.query_width() + config.kv_width();
        let tiles = scratch.qkv.par_chunks_mut(TILE * stride);
        let tiles = tiles
            .zip(stream.par_chunks(TILE * config.width))
            .enumerate();
        tiles.for_each_init(
            || vec![0.0; TILE * config.width],
            |normed, (tile, (qkv, stream))| {
                norm_tile(stream, &self.attention_norm, config.norm_epsilon, normed);
                self.qkv.apply(normed, qkv);
                let positions = rows.positions[tile * TILE..].iter();
                pulp::Arch::new().dispatch(
                    #[inline(always)]
                    || {
                        for (row, position) in qkv.chunks_exact_mut(stride).zip(positions) {
                            rope.turn(&mut row[..turned], *position);
                        }
                    },
                );
            },
        );
    }

    /// Causal attention of all blocks, to `scratch.attended`.
    pub(super) fn attend(&self, config: &Config, blocks: &[Block], scratch: &mut Scratch) {
        let mut rest = scratch.attended.as_mut_slice();
        let mut work = Vec::with_capacity(blocks.len());
        for block in blocks {
            let (own, others) = rest.split_at_mut(block.queries * config.query_width());
            work.push((*block, own));
            rest = others;
        }
        let (qkv, stride) = (&scratch.qkv, scratch.qkv_stride);
        work.into_par_iter()
            .for_each_init(attention::Scratch::default, |scratch, (block, out)| {
                attention::attend(config, qkv, stride, block, scratch, out);
            });
    }

    /// Attention's output projection and the feed-forward network, added to the residual stream.
    pub(super) fn finish(&self, config: &Config, stream: &mut [f32], scratch: &Scratch) {
        let tiles = stream.par_chunks_mut(TILE * config.width);
        let tiles = tiles.zip(scratch.attended.par_chunks(TILE * config.query_width()));
        tiles.for_each_init(
            || FeedForward::new(self),
            |buffers, (stream, attended)| {
                self.output.apply(attended, &mut buffers.to_stream);
                self.add_tile(stream, &buffers.to_stream);
                norm_tile(
                    stream,
                    &self.feed_forward_norm,
                    config.norm_epsilon,
                    &mut buffers.normed,
                );
                self.feed_forward(buffers);
                self.add_tile(stream, &buffers.to_stream);
            },
        );
    }

    /// SwiGLU of a normed tile, to `buffers.to_stream`.
    fn feed_forward(&self, buffers: &mut FeedForward) {
        self.gate.apply(&buffers.normed, &mut buffers.gate);
        self.up.apply(&buffers.normed, &mut buffers.up);
        let gate = buffers.gate.chunks_exact(self.gate.out_stride());
        let up = buffers.up.chunks_exact(self.up.out_stride());
        pulp::Arch::new().dispatch(
            #[inline(always)]
            || {
                let hidden = buffers.hidden.chunks_exact_mut(self.down.inputs());
                for (hidden, (gate, up)) in hidden.zip(gate.zip(up)) {
                    swiglu(gate, up, hidden);
                }
            },
        );
        self.down.apply(&buffers.hidden, &mut buffers.to_stream);
    }

    /// Adds a projection's result, in its own stride, to a tile of the residual stream.
    fn add_tile(&self, stream: &mut [f32], projected: &[f32]) {
        let (width, stride) = (self.output.outputs(), self.output.out_stride());
        let rows = stream.chunks_exact_mut(width);
        let rows = rows.zip(projected.chunks_exact(stride));
        pulp::Arch::new().dispatch(
            #[inline(always)]
            || {
                for (row, projected) in rows {
                    add(row, projected);
                }
            },
        );
    }
}

/// Memory that one thread needs for the second half of a layer, one tile each.
struct FeedForward {
    normed: Vec<f32>,
    gate: Vec<f32>,
    up: Vec<f32>,
    hidden: Vec<f32>,
    to_stream: Vec<f32>,
}

impl FeedForward {
    fn new(layer: &Layer) -> Self {
        FeedForward {
            normed: vec![0.0; TILE * layer.gate.inputs()],
            gate: vec![0.0; TILE * layer.gate.out_stride()],
            up: vec![0.0; TILE * layer.up.out_stride()],
            hidden: vec![0.0; TILE * layer.down.inputs()],
            to_stream: vec![0.0; TILE * layer.output.out_stride()],
        }
    }
}

/// RMSNorm of each row of a tile, `[TILE, C]`.
pub(super) fn norm_tile(tile: &[f32], gain: &[f32], epsilon: f32, out: &mut [f32]) {
    let width = gain.len();
    let rows = tile.chunks_exact(width).zip(out.chunks_exact_mut(width));
    pulp::Arch::new().dispatch(
        #[inline(always)]
        || {
            for (row, out) in rows {
                rms_norm(row, gain, epsilon, out);
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_put_the_separator_before_each_document() {
        let rows = Rows::new(&[&[5, 6, 7], &[], &[8]], 0);
        assert_eq!(rows.inputs, [0, 5, 6, 0]);
        assert_eq!(rows.targets, [5, 6, 7, 8]);
        assert_eq!(rows.positions, [0, 1, 2, 0]);
        assert_eq!(rows.documents, [0..3, 3..3, 3..4]);
        assert_eq!(rows.tiled(), TILE);
    }
}
