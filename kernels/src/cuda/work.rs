//! Attention's share of a batch, cut into tiles: what its blocks read, in the order they start.
//!
//! Blocks start in order of their number and take turns on the processors, so the tiles with the
//! most keys come first: the short ones then fill the gaps at the end.

use std::cmp::Reverse;

/// A tile: its document's first row, the document's length, the tile's first query within the
/// document, and 0.
pub(crate) type Tile = [u32; 4];

/// Queries of a tile: as many as its rows hold, each with all heads of one key/value head.
///
/// `None` when one query alone has more heads than the tile has rows.
pub(crate) fn queries_per_tile(tile_rows: u32, heads: usize, kv_heads: usize) -> Option<u32> {
    let group = u32::try_from(heads / kv_heads).ok()?;
    (group <= tile_rows).then(|| tile_rows / group)
}

/// The tiles of a batch, those with the most keys first, ties in the order of the rows.
///
/// `bounds` holds the first row of each document and the number of rows, ascending. A document of
/// no rows has no tile. Tiles start at their document's own first row and every `queries` queries
/// from there, so a document is cut alike in every batch.
pub(crate) fn tiles(bounds: &[u32], queries: u32) -> Vec<Tile> {
    let documents = bounds.windows(2).map(|rows| (rows[0], rows[1] - rows[0]));
    let mut tiles: Vec<Tile> = documents
        .flat_map(|(row, length)| {
            (0..length)
                .step_by(queries as usize)
                .map(move |first| [row, length, first, 0])
        })
        .collect();
    tiles.sort_by_key(|&[_, length, first, _]| Reverse(length.min(first + queries)));
    tiles
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tile_holds_all_heads_of_its_queries() {
        assert_eq!(queries_per_tile(128, 9, 3), Some(42));
        assert_eq!(queries_per_tile(128, 8, 8), Some(128));
        assert_eq!(queries_per_tile(64, 16, 1), Some(4));
        assert_eq!(queries_per_tile(64, 64, 1), Some(1));
        assert_eq!(queries_per_tile(64, 65, 1), None);
    }

    #[test]
    fn tiles_with_most_keys_come_first_and_ties_in_order() {
        let bounds = [0, 100, 100, 101, 143, 143 + 84];
        let expected = [
            [0, 100, 84, 0],  // 100 keys
            [0, 100, 42, 0],  // 84
            [143, 84, 42, 0], // 84
            [0, 100, 0, 0],   // 42
            [101, 42, 0, 0],  // 42
            [143, 84, 0, 0],  // 42
            [100, 1, 0, 0],   // 1
        ];
        assert_eq!(tiles(&bounds, 42), expected);
    }

    #[test]
    fn a_batch_without_rows_has_no_tiles() {
        assert!(tiles(&[0], 42).is_empty());
        assert!(tiles(&[0, 0, 0], 42).is_empty());
        assert!(tiles(&[], 42).is_empty());
    }

    #[test]
    fn every_query_is_in_one_tile() {
        let bounds = [0, 7, 8, 300, 300, 333];
        for queries in [1, 5, 42, 128] {
            let mut seen = vec![0; 333];
            for [row, length, first, _] in tiles(&bounds, queries) {
                (first..length.min(first + queries)).for_each(|t| seen[(row + t) as usize] += 1);
            }
            assert!(seen.iter().all(|&times| times == 1), "{queries} queries");
        }
    }
}
