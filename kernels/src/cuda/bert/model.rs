//! An encoder on a GPU as an [`Encoder`](crate::Encoder): batches go through in groups of at most
//! the token budget, the next group's upload beside the present one's computation.

use std::sync::Arc;

use super::encoder::Encoder;
use super::forward::{Results, Wanting};
use crate::batch::groups;
use crate::cuda::device::Device;
use crate::cuda::error::CudaError;
use crate::cuda::group::Group;
use crate::cuda::slots::in_turn;
use crate::{Batch, Embeddings, Encoding, Lsh, ModelInfo, ScoreError, Wanted};

/// An encoder on a device, for one thread to own.
pub(crate) struct CudaBert<D> {
    info: ModelInfo,
    encoder: Encoder<D>,
    /// The hashes whose directions are on the device.
    lsh: Option<Arc<Lsh>>,
}

impl<D: Device> CudaBert<D> {
    /// A loaded encoder; `backend` names the device's arithmetic.
    pub(crate) fn new(encoder: Encoder<D>, lsh: Option<Arc<Lsh>>, backend: String) -> Self {
        let config = &encoder.shape.config;
        let info = ModelInfo {
            name: config.name.clone(),
            architecture: "bert".into(),
            parameters: config.parameters(),
            // A document goes through in one group.
            context_tokens: config.positions.min(encoder.plan.rows),
            vocabulary: config.vocabulary,
            weight_bytes: encoder.plan.weights,
            backend,
        };
        CudaBert { info, encoder, lsh }
    }

    /// What is wanted of documents, none of them empty, in parts.
    fn results(&mut self, documents: &[&[u32]], wanted: Wanted) -> Result<Vec<Results>, CudaError> {
        let (rows, queries) = (self.encoder.plan.rows, self.encoder.shape.queries);
        let groups = groups(documents, rows);
        let groups = groups.map(|documents| Group::encoded(documents, queries));
        in_turn(&mut Wanting::new(&mut self.encoder, wanted), groups)
    }
}

impl<D: Device + Send> crate::Encoder for CudaBert<D> {
    fn describe(&self) -> &ModelInfo {
        &self.info
    }

    fn encode(&mut self, batch: &Batch, wanted: Wanted) -> Result<Encoding, ScoreError> {
        batch.check(self.info.context_tokens, self.info.vocabulary)?;
        let lsh = match wanted.codes() {
            true => Some(Arc::clone(self.lsh.as_ref().ok_or(ScoreError::NoHashes)?)),
            false => None,
        };
        let filled: Vec<&[u32]> = batch.documents().filter(|ids| !ids.is_empty()).collect();
        let results = self.results(&filled, wanted)?;
        let checks = spread(batch, results.iter().map(|it| it.checks.as_slice()), &[0.0]);
        if let Some(document) = checks.iter().position(|check| *check != 0.0) {
            return Err(ScoreError::NotFinite { document });
        }
        let zeros = vec![0.0; self.encoder.shape.config.width];
        let embeddings = wanted.embeddings().then(|| {
            let found = results.iter().map(|it| it.embeddings.as_slice());
            Embeddings::new(zeros.len(), spread(batch, found, &zeros))
        });
        let codes = lsh.map(|lsh| {
            let found = results.iter().map(|it| it.codes.as_slice());
            spread(batch, found, &lsh.codes(&zeros))
        });
        Ok(Encoding { embeddings, codes })
    }
}

/// A row of each document of the batch: in turn those found in parts, and `empty` for a document without
/// tokens.
fn spread<'a, T: Copy + 'a>(
    batch: &Batch,
    found: impl Iterator<Item = &'a [T]>,
    empty: &[T],
) -> Vec<T> {
    let mut found = found.flat_map(|group| group.chunks_exact(empty.len()));
    let mut rows = Vec::with_capacity(batch.len() * empty.len());
    for document in batch.documents() {
        rows.extend_from_slice(match document.len() {
            0 => empty,
            _ => found.next().expect("a row for each document"),
        });
    }
    rows
}
