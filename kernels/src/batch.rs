//! Documents packed end to end: what a model scores in one call.
//!
//! Packed rather than padded, because a batch of web pages mixes ten tokens with a thousand and
//! padding would multiply the work.

use crate::ScoreError;

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

    /// Passes when a model of this context and vocabulary can score every document.
    pub(crate) fn check(&self, context: usize, vocabulary: usize) -> Result<(), ScoreError> {
        for (document, ids) in self.documents().enumerate() {
            if ids.len() > context {
                return Err(ScoreError::TooLong {
                    document,
                    tokens: ids.len(),
                    context,
                });
            }
            if let Some(id) = ids.iter().copied().find(|id| *id as usize >= vocabulary) {
                return Err(ScoreError::UnknownToken {
                    document,
                    id,
                    vocabulary,
                });
            }
        }
        Ok(())
    }
}

/// Documents in runs of at most `rows_max` tokens, and at least one document.
pub(crate) fn groups<'a, 'b>(
    documents: &'a [&'b [u32]],
    rows_max: usize,
) -> impl Iterator<Item = &'a [&'b [u32]]> {
    let mut rest = documents;
    std::iter::from_fn(move || {
        let mut rows = 0;
        let fits = |document: &&&[u32]| {
            rows += document.len();
            rows <= rows_max
        };
        let count = rest.iter().take_while(fits).count().max(1).min(rest.len());
        let (group, others) = rest.split_at(count);
        rest = others;
        (!group.is_empty()).then_some(group)
    })
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

    #[test]
    fn groups_hold_every_document_once_within_the_limit() {
        let limit = 100;
        let long = vec![0u32; limit + 5];
        let documents: Vec<&[u32]> = vec![
            &long[..10],
            &long,
            &[],
            &long[..limit - 1],
            &long[..1],
            &long[..1],
        ];
        let sizes: Vec<usize> = groups(&documents, limit).map(<[_]>::len).collect();
        assert_eq!(sizes, [1, 1, 3, 1]);
        assert_eq!(groups(&[], limit).count(), 0);
    }
}
