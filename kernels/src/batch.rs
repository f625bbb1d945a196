//! Documents packed end to end: what a model scores in one call.
//!
//! Packed rather than padded, because a batch of web pages mixes ten tokens with a thousand and
//! padding would multiply the work.

/// Token ids of several documents, end to end, without separators.
///
/// The model puts its own separator before each document. Document `i` is
/// `ids[offsets[i]..offsets[i + 1]]`; the fields are private so that this always holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    ids: Vec<u32>,
    offsets: Vec<usize>,
}

impl Default for Batch {
    fn default() -> Self {
        Batch {
            ids: Vec::new(),
            offsets: vec![0],
        }
    }
}

impl Batch {
    /// A batch without documents.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a document; one without tokens is allowed and scores 0 nats over 0 tokens.
    pub fn push(&mut self, document: &[u32]) {
        self.ids.extend_from_slice(document);
        self.offsets.push(self.ids.len());
    }

    /// Removes all documents and keeps the memory.
    pub fn clear(&mut self) {
        self.ids.clear();
        self.offsets.truncate(1);
    }

    /// The documents in order of arrival.
    pub fn documents(&self) -> impl ExactSizeIterator<Item = &[u32]> {
        self.offsets
            .windows(2)
            .map(|bounds| &self.ids[bounds[0]..bounds[1]])
    }

    /// How many documents the batch holds.
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Whether the batch holds no document.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many tokens the batch holds, all documents together, separators not counted.
    pub fn tokens(&self) -> usize {
        self.ids.len()
    }
}

impl<'a> FromIterator<&'a [u32]> for Batch {
    fn from_iter<I: IntoIterator<Item = &'a [u32]>>(documents: I) -> Self {
        let mut batch = Batch::new();
        documents
            .into_iter()
            .for_each(|document| batch.push(document));
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_come_back_as_pushed() {
        let documents: [&[u32]; 4] = [&[1, 2, 3], &[], &[4], &[5, 6]];
        let mut batch: Batch = documents.into_iter().collect();
        assert_eq!(batch.documents().collect::<Vec<_>>(), documents);
        assert_eq!((batch.len(), batch.tokens()), (4, 6));
        batch.clear();
        assert_eq!(batch, Batch::new());
        assert!(batch.is_empty());
    }
}
