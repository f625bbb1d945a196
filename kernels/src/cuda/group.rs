//! Some documents of a batch as the kernels read them: one block of bytes, sent in one copy.

use std::mem::size_of;

use super::device::Address;
use super::work;

/// Sections of a block begin at multiples of this.
const ALIGNMENT: usize = 256;

/// Bytes of a row in the block at most: its token, target, position, bound and tile of attention.
const ROW_BYTES: usize = 4 * size_of::<u32>() + size_of::<work::Tile>();

/// The documents of one forward pass.
#[derive(Clone, Debug, Default)]
pub(crate) struct Group {
    /// All sections, to be copied to the device as they are.
    pub(crate) bytes: Vec<u8>,
    /// Rows, one a token.
    pub(crate) rows: usize,
    /// Documents.
    pub(crate) documents: usize,
    /// Tiles of attention, for each key head.
    pub(crate) tiles: usize,
    sections: [usize; 5],
}

/// Where the sections of a group lie on the device.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sections {
    /// `[T]` u32, the token that enters each row.
    pub(crate) ids: Address,
    /// `[T]` u32, the token to predict; nothing for an encoder.
    pub(crate) targets: Address,
    /// `[T]` u32, the row's position in its document.
    pub(crate) positions: Address,
    /// `[documents + 1]` u32, the first row of each document.
    pub(crate) bounds: Address,
    /// `[tiles]` of four u32.
    pub(crate) work: Address,
}

impl Group {
    /// For a decoder: each document enters behind the separator and without its last token, and
    /// its own tokens are to be predicted. Tiles of attention have `queries` queries.
    pub(crate) fn predicted(documents: &[&[u32]], separator: u32, queries: u32) -> Self {
        let mut entering = Vec::with_capacity(rows(documents));
        for document in documents {
            let before = document.split_last().map_or(&[][..], |(_, before)| before);
            entering.extend((!document.is_empty()).then_some(separator));
            entering.extend_from_slice(before);
        }
        Group::new(documents, &entering, &documents.concat(), queries)
    }

    /// For an encoder: the documents as they are, without targets.
    pub(crate) fn encoded(documents: &[&[u32]], queries: u32) -> Self {
        Group::new(documents, &documents.concat(), &[], queries)
    }

    fn new(documents: &[&[u32]], entering: &[u32], targets: &[u32], queries: u32) -> Self {
        let mut positions = Vec::with_capacity(entering.len());
        let mut bounds = vec![0];
        for document in documents {
            positions.extend(0..document.len() as u32);
            bounds.push(positions.len() as u32);
        }
        let work = work::tiles(&bounds, queries);
        let mut group = Group {
            rows: rows(documents),
            documents: documents.len(),
            tiles: work.len(),
            ..Group::default()
        };
        group.section(0, bytemuck::cast_slice(entering));
        group.section(1, bytemuck::cast_slice(targets));
        group.section(2, bytemuck::cast_slice(&positions));
        group.section(3, bytemuck::cast_slice(&bounds));
        group.section(4, bytemuck::cast_slice(&work));
        group
    }

    fn section(&mut self, number: usize, bytes: &[u8]) {
        let start = self.bytes.len().next_multiple_of(ALIGNMENT);
        self.bytes.resize(start, 0);
        self.bytes.extend_from_slice(bytes);
        self.sections[number] = start;
    }

    /// The sections of a block that begins at this address.
    pub(crate) fn sections(&self, base: Address) -> Sections {
        let [ids, targets, positions, bounds, work] =
            self.sections.map(|section| base.offset(section));
        Sections {
            ids,
            targets,
            positions,
            bounds,
            work,
        }
    }

    /// The most bytes that a group of so many rows and documents without an empty one can have.
    pub(crate) fn bytes_max(rows: usize) -> usize {
        rows * ROW_BYTES + size_of::<u32>() + 5 * ALIGNMENT
    }
}

/// Tokens of the documents.
fn rows(documents: &[&[u32]]) -> usize {
    documents.iter().map(|document| document.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(group: &Group, address: Address, count: usize) -> &[u32] {
        let start = (address.0 - 4096) as usize;
        bytemuck::cast_slice(&group.bytes[start..start + 4 * count])
    }

    #[test]
    fn sections_hold_what_enters_and_what_is_predicted() {
        let group = Group::predicted(&[&[5, 6, 7], &[8], &[9, 10]], 1, 2);
        assert_eq!((group.rows, group.documents, group.tiles), (6, 3, 4));
        let sections = group.sections(Address(4096));
        assert_eq!(words(&group, sections.ids, 6), [1, 5, 6, 1, 1, 9]);
        assert_eq!(words(&group, sections.targets, 6), [5, 6, 7, 8, 9, 10]);
        assert_eq!(words(&group, sections.positions, 6), [0, 1, 2, 0, 0, 1]);
        assert_eq!(words(&group, sections.bounds, 4), [0, 3, 4, 6]);
        assert_eq!(words(&group, sections.work, 4), [0, 3, 2, 0]);
        assert!(group.bytes.len() <= Group::bytes_max(6));
    }

    #[test]
    fn an_encoder_s_documents_enter_as_they_are() {
        let group = Group::encoded(&[&[5, 6, 7], &[8]], 2);
        assert_eq!((group.rows, group.documents, group.tiles), (4, 2, 3));
        let sections = group.sections(Address(4096));
        assert_eq!(words(&group, sections.ids, 4), [5, 6, 7, 8]);
        assert_eq!(words(&group, sections.positions, 4), [0, 1, 2, 0]);
        assert_eq!(words(&group, sections.bounds, 3), [0, 3, 4]);
        assert_eq!(words(&group, sections.work, 4), [0, 3, 2, 0]);
    }

    #[test]
    fn the_bound_holds_for_documents_of_one_token() {
        let documents = vec![&[3u32][..]; 1000];
        let group = Group::predicted(&documents, 1, 42);
        assert!(group.bytes.len() <= Group::bytes_max(1000));
    }
}
