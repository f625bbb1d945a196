//! A BERT-family encoder on the CPU, in f32: the reference that other backends are held against.
//!
//! [`Bert::forward`] reads like the architecture (arXiv 1810.04805): embed, then in each layer
//! attention and the feed-forward network, each added to the stream and normed after it, then
//! pooling. Rows of the batch go through in tiles of [`TILE`], attention and pooling by document.
//! Each piece of work writes its own rows, so the number of threads changes nothing.

mod attention;
mod config;
mod layer;
mod pool;
pub(crate) mod weights;

use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

pub use config::{EncoderConfig, Pooling};

use crate::batch::groups;
use crate::cpu::elementwise::add;
use crate::cpu::linear::TILE;
use crate::cpu::{backend, start_threads};
use crate::source::safetensors::Safetensors;
use crate::{Batch, Embeddings, Encoder, Encoding, Lsh, ModelError, ModelInfo, ScoreError, Wanted};
use attention::Block;
use layer::{Layer, Norm, Scratch};

/// Rows embedded together; more wait. Bounds the memory of a call (8 KB a row for MiniLM) whatever
/// the batch; a longer document goes alone.
const ROWS_MAX: usize = 8192;

/// A loaded encoder with its threads.
pub(crate) struct Bert {
    info: ModelInfo,
    config: EncoderConfig,
    /// Token embedding, `[V, C]`.
    words: Vec<f32>,
    /// Position embedding with that of token type 0 added, `[positions, C]`.
    positions: Vec<f32>,
    embedding_norm: Norm,
    layers: Vec<Layer>,
    lsh: Option<Arc<Lsh>>,
    threads: rayon::ThreadPool,
}

impl Bert {
    /// Reads a model's weights and starts its threads.
    pub(crate) fn load(
        config: &EncoderConfig,
        tensors: &Safetensors,
        threads: usize,
        lsh: Option<Arc<Lsh>>,
    ) -> Result<Self, ModelError> {
        let words = tensors.read(weights::WORDS)?;
        let mut positions = tensors.read(weights::POSITIONS)?;
        let token_types = tensors.read(weights::TOKEN_TYPES)?;
        for row in positions.chunks_exact_mut(config.width) {
            add(row, &token_types);
        }
        let embedding_norm = Norm::load(tensors, weights::EMBEDDING_NORM, config.norm_epsilon)?;
        let layers = (0..config.layers)
            .map(|layer| Layer::load(config, tensors, layer))
            .collect::<Result<Vec<_>, _>>()?;
        let weight_bytes = 4 * (words.len() + positions.len()) as u64
            + embedding_norm.bytes()
            + layers.iter().map(Layer::bytes).sum::<u64>();
        let info = ModelInfo {
            name: config.name.clone(),
            architecture: "bert".into(),
            parameters: config.parameters(),
            context_tokens: config.positions,
            vocabulary: config.vocabulary,
            weight_bytes,
            backend: backend(),
        };
        Ok(Bert {
            info,
            config: config.clone(),
            words,
            positions,
            embedding_norm,
            layers,
            lsh,
            threads: start_threads(threads)?,
        })
    }

    /// Embeddings of some documents, `[documents, C]`.
    fn forward(&self, documents: &[&[u32]], out: &mut [f32]) {
        let rows = rows(documents);
        let mut stream = self.enter(documents);
        let blocks = rows.iter().cloned().flat_map(Block::of_document);
        let blocks: Vec<Block> = blocks.collect();
        let mut scratch = Scratch::new(&self.config, stream.len() / self.config.width);
        for layer in &self.layers {
            layer.project(&self.config, &stream, &mut scratch);
            layer.attend(&self.config, &blocks, &mut scratch);
            layer.finish(&self.config, &mut stream, &scratch);
        }
        let documents = out.par_chunks_exact_mut(self.config.width).zip(&rows);
        documents.for_each(|(out, rows)| pool::pool(&self.config, &stream, rows.clone(), out));
    }

    /// The normed sum of the embeddings of all rows, `[T, C]`, filled up with zeros to whole tiles.
    fn enter(&self, documents: &[&[u32]]) -> Vec<f32> {
        let width = self.config.width;
        let each_row = documents.iter().flat_map(|ids| ids.iter().enumerate());
        let each_row: Vec<(usize, &u32)> = each_row.collect();
        let mut stream = vec![0.0; each_row.len().next_multiple_of(TILE) * width];
        let tiles = stream.par_chunks_mut(TILE * width);
        let tiles = tiles.zip(each_row.par_chunks(TILE));
        tiles.for_each(|(tile, ids)| {
            let rows = tile.chunks_exact_mut(width).zip(ids);
            pulp::Arch::new().dispatch(
                #[inline(always)]
                || {
                    for (row, (position, id)) in rows {
                        row.copy_from_slice(&self.words[**id as usize * width..][..width]);
                        add(row, &self.positions[position * width..][..width]);
                        self.embedding_norm.apply(row);
                    }
                },
            );
        });
        stream
    }
}

/// The rows of each document in a batch.
fn rows(documents: &[&[u32]]) -> Vec<Range<usize>> {
    let mut end = 0;
    let rows = documents.iter().map(|document| {
        let start = end;
        end += document.len();
        start..end
    });
    rows.collect()
}

impl Encoder for Bert {
    fn describe(&self) -> &ModelInfo {
        &self.info
    }

    fn encode(&mut self, batch: &Batch, wanted: Wanted) -> Result<Encoding, ScoreError> {
        batch.check(self.config.positions, self.config.vocabulary)?;
        let lsh = match (wanted.codes(), &self.lsh) {
            (true, None) => return Err(ScoreError::NoHashes),
            (true, Some(lsh)) => Some(Arc::clone(lsh)),
            (false, _) => None,
        };
        let width = self.config.width;
        let documents: Vec<&[u32]> = batch.documents().collect();
        let mut values = vec![0.0; documents.len() * width];
        let mut rest = values.as_mut_slice();
        for group in groups(&documents, ROWS_MAX) {
            let (own, others) = rest.split_at_mut(group.len() * width);
            self.threads.install(|| self.forward(group, own));
            rest = others;
        }
        if let Some(place) = values.iter().position(|value| !value.is_finite()) {
            let document = place / width;
            return Err(ScoreError::NotFinite { document });
        }
        let codes = lsh.map(|lsh| lsh.codes(&values));
        let embeddings = Embeddings::new(width, values);
        Ok(Encoding {
            embeddings: wanted.embeddings().then_some(embeddings),
            codes,
        })
    }
}
