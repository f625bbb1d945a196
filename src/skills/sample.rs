//! A sample of documents, the same whatever their order, and its embeddings.

use std::collections::BTreeMap;

use kernels::{Batch, Encoder, ScoreError};

/// Documents that an encoder is given at once.
const BATCH_DOCUMENTS: usize = 64;

/// The embeddings of some documents.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    /// The documents' ids.
    pub ids: Vec<String>,
    /// Their embeddings end to end.
    pub embeddings: Vec<f32>,
}

/// What is drawn so far of the documents seen: those of the least hash of seed and id.
///
/// A function of the live documents, as nothing depends on their order but which version of an id
/// is the last. The exception are takedowns: what a document that is taken down later displaced is
/// not fetched again.
#[derive(Clone, Debug)]
pub struct Drawn<T> {
    most: usize,
    seed: u64,
    documents: BTreeMap<[u8; 32], (String, T)>,
}

impl<T> Drawn<T> {
    /// Nothing yet, and at most so many documents.
    pub fn new(most: usize, seed: u64) -> Self {
        Drawn {
            most,
            seed,
            documents: BTreeMap::new(),
        }
    }

    /// Draws the document, or its next version, if its hash is among the least; `value` is asked
    /// for only then, and may say that there is none.
    pub fn offer(&mut self, id: &str, value: impl FnOnce() -> Option<T>) {
        let hash = self.hash(id);
        let full = self.documents.len() >= self.most;
        if full
            && self
                .documents
                .last_key_value()
                .is_none_or(|(last, _)| hash > *last)
        {
            return;
        }
        match value() {
            None => drop(self.documents.remove(&hash)),
            Some(value) => drop(self.documents.insert(hash, (id.to_owned(), value))),
        }
        if self.documents.len() > self.most {
            self.documents.pop_last();
        }
    }

    /// Takes a document back.
    pub fn remove(&mut self, id: &str) {
        self.documents.remove(&self.hash(id));
    }

    /// How many documents are drawn.
    pub fn len(&self) -> usize {
        self.documents.len()
    }

    /// Whether none is drawn.
    pub fn is_empty(&self) -> bool {
        self.documents.is_empty()
    }

    fn hash(&self, id: &str) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        hasher
            .update(b"skills")
            .update(&self.seed.to_le_bytes())
            .update(id.as_bytes());
        *hasher.finalize().as_bytes()
    }
}

impl Drawn<Vec<f32>> {
    /// The sample of documents that came with their embeddings.
    pub fn sample(self) -> Sample {
        let mut sample = Sample::default();
        for (id, embedding) in self.documents.into_values() {
            sample.ids.push(id);
            sample.embeddings.extend(embedding);
        }
        sample
    }
}

impl Drawn<Vec<u32>> {
    /// The sample of documents drawn with their tokens; `progress` is told how many are embedded.
    ///
    /// # Errors
    /// The encoder's.
    pub fn embedded(
        self,
        encoder: &mut dyn Encoder,
        mut progress: impl FnMut(usize),
    ) -> Result<Sample, ScoreError> {
        let documents: Vec<(String, Vec<u32>)> = self.documents.into_values().collect();
        let mut sample = Sample::default();
        for part in documents.chunks(BATCH_DOCUMENTS) {
            let batch: Batch = part.iter().map(|(_, tokens)| &tokens[..]).collect();
            let embeddings = encoder.embed(&batch)?;
            sample.embeddings.extend_from_slice(embeddings.values());
            sample.ids.extend(part.iter().map(|(id, _)| id.clone()));
            progress(sample.ids.len());
        }
        Ok(sample)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(ids: impl Iterator<Item = usize>, most: usize, seed: u64) -> Vec<String> {
        let mut drawn = Drawn::new(most, seed);
        ids.for_each(|id| drawn.offer(&id.to_string(), || Some(vec![0.0])));
        drawn.sample().ids
    }

    #[test]
    fn the_sample_does_not_depend_on_the_order_and_does_on_the_seed() {
        let sample = drawn(0..500, 20, 1);
        assert_eq!(sample.len(), 20);
        assert_eq!(drawn((0..500).rev(), 20, 1), sample);
        assert_eq!(drawn((0..500).chain(0..500), 20, 1), sample);
        assert_ne!(drawn(0..500, 20, 2), sample);
        assert_eq!(drawn(0..500, 1000, 1).len(), 500);
    }

    #[test]
    fn the_last_version_of_an_id_counts_and_a_takedown_removes_it() {
        let mut drawn = Drawn::new(2, 1);
        drawn.offer("a", || Some(vec![1.0]));
        drawn.offer("a", || Some(vec![2.0]));
        drawn.offer("b", || Some(vec![3.0]));
        drawn.offer("c", || None);
        assert_eq!(drawn.len(), 2);
        drawn.remove("b");
        let sample = drawn.clone().sample();
        assert_eq!(
            (sample.ids, sample.embeddings),
            (vec!["a".to_owned()], vec![2.0])
        );
        drawn.offer("a", || None);
        assert!(drawn.is_empty());
    }
}
