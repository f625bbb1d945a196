//! A Llama-family decoder on the CPU, in f32: the reference that other backends are held against.
//!
//! [`Llama::score`] reads like the architecture: embed, then in each layer attention and the
//! feed-forward network over a residual stream, then the LM head. Rows of the batch go through in
//! tiles of [`TILE`], attention goes by document; both kinds of work are spread over threads by
//! rayon, and each piece of it writes its own rows, so the number of threads changes nothing.

mod attention;
mod head;
mod layer;
pub(crate) mod rope;

use rayon::prelude::*;

use crate::batch::groups;
use crate::cpu::linear::{Linear, TILE};
use crate::cpu::{backend, start_threads};
use crate::source::{Part, Source};
use crate::{Batch, Config, DocumentScore, LanguageModel, ModelError, ModelInfo, ScoreError};
use attention::Block;
use layer::{Layer, Rows, Scratch};
use rope::Rope;

/// Rows scored together; more wait. Bounds the memory of a call (12 KB a row for SmolLM2-135M)
/// whatever the batch; a longer document goes alone.
const ROWS_MAX: usize = 8192;

/// A loaded decoder with its threads.
pub(crate) struct Llama {
    info: ModelInfo,
    config: Config,
    separator: u32,
    embedding: Linear,
    layers: Vec<Layer>,
    final_norm: Vec<f32>,
    /// The LM head; `None` when it is the embedding.
    head: Option<Linear>,
    rope: Rope,
    threads: rayon::ThreadPool,
}

impl Llama {
    /// Reads a model's weights and starts its threads.
    pub(crate) fn load(
        source: &mut dyn Source,
        separator: u32,
        threads: usize,
    ) -> Result<Self, ModelError> {
        let config = source.config().clone();
        let embedding = Linear::stack(&[source.tensor(Part::Embedding)?], config.width);
        let layers = (0..config.layers)
            .map(|layer| Layer::load(source, layer))
            .collect::<Result<Vec<_>, _>>()?;
        let final_norm = source.tensor(Part::FinalNorm)?;
        let head = match config.tied {
            true => None,
            false => Some(Linear::stack(&[source.tensor(Part::Head)?], config.width)),
        };
        let weight_bytes = embedding.bytes()
            + head.as_ref().map_or(0, Linear::bytes)
            + layers.iter().map(Layer::bytes).sum::<u64>();
        let info = ModelInfo {
            name: config.name.clone(),
            architecture: "llama".into(),
            parameters: config.parameters(),
            context_tokens: config.context,
            vocabulary: config.vocabulary,
            weight_bytes,
            backend: backend(),
        };
        let rope = Rope::new(config.rope_base, config.head_width);
        Ok(Llama {
            info,
            config,
            separator,
            embedding,
            layers,
            final_norm,
            head,
            rope,
            threads: start_threads(threads)?,
        })
    }

    /// Negative log-likelihood of each token of the documents, in nats, end to end.
    fn token_nll(&self, documents: &[&[u32]]) -> Vec<f64> {
        let rows = Rows::new(documents, self.separator);
        let mut stream = self.embed(&rows);
        let blocks = rows
            .documents
            .iter()
            .flat_map(|d| Block::of_document(d.start, d.len()));
        let blocks: Vec<Block> = blocks.collect();
        let mut scratch = Scratch::new(&self.config, rows.tiled());
        for layer in &self.layers {
            layer.project(&self.config, &self.rope, &rows, &stream, &mut scratch);
            layer.attend(&self.config, &blocks, &mut scratch);
            layer.finish(&self.config, &mut stream, &scratch);
        }
        self.likelihood(&rows, &mut stream)
    }

    /// The token embeddings of all rows, `[T, C]`, filled up with zeros to whole tiles.
    fn embed(&self, rows: &Rows) -> Vec<f32> {
        let mut stream = vec![0.0; rows.tiled() * self.config.width];
        let each_row = stream.par_chunks_mut(self.config.width).zip(&rows.inputs);
        each_row.for_each(|(row, id)| self.embedding.row(*id as usize, row));
        stream
    }

    /// The last norm and the LM head: negative log-likelihood of each row's target.
    fn likelihood(&self, rows: &Rows, stream: &mut [f32]) -> Vec<f64> {
        let head = self.head.as_ref().unwrap_or(&self.embedding);
        let mut nll_nats = vec![0.0; rows.targets.len()];
        let tiles = nll_nats
            .par_chunks_mut(TILE)
            .zip(rows.targets.par_chunks(TILE));
        let tiles = tiles.zip(stream.par_chunks_mut(TILE * self.config.width));
        tiles.for_each_init(
            || (vec![0.0; TILE * self.config.width], Vec::new()),
            |(normed, logits), ((nll, targets), tile)| {
                layer::norm_tile(tile, &self.final_norm, self.config.norm_epsilon, normed);
                head::tile_nll(head, normed, targets, logits, nll);
            },
        );
        nll_nats
    }
}

impl LanguageModel for Llama {
    fn describe(&self) -> &ModelInfo {
        &self.info
    }

    fn score(&mut self, batch: &Batch) -> Result<Vec<DocumentScore>, ScoreError> {
        batch.check(self.config.context, self.config.vocabulary)?;
        self.rope
            .reach(batch.documents().map(<[u32]>::len).max().unwrap_or(0));
        let documents: Vec<&[u32]> = batch.documents().collect();
        let mut scores = Vec::with_capacity(documents.len());
        for group in groups(&documents, ROWS_MAX) {
            let nll_nats = self.threads.install(|| self.token_nll(group));
            let mut rest = nll_nats.as_slice();
            for document in group {
                let (own, others) = rest.split_at(document.len());
                scores.push(DocumentScore {
                    nll_nats: own.iter().sum(),
                    tokens: own.len(),
                });
                rest = others;
            }
        }
        match scores.iter().position(|score| !score.nll_nats.is_finite()) {
            Some(document) => Err(ScoreError::NotFinite { document }),
            None => Ok(scores),
        }
    }
}
