//! A model's sizes as the kernels see them, padded to whole tiles; refuses what they are not made
//! for.

use super::error::CudaError;
use super::kernels::{self, Family, Kernels};
use super::work;
use crate::Config;

/// Columns that rows of operands are padded to: a slice of the residual stream.
pub(crate) const SLICE: usize = 64;
/// Rows that weights are padded to: the widest tile that reads past a matrix's end.
const WEIGHT_ROWS: usize = 128;
/// A multiple of the columns of every head kernel's tile.
const HEAD_COLUMNS: usize = 384;
/// Columns of the vocabulary that one block of the head takes, at most: few enough that blocks
/// which run at the same time find a part's weights in the L2 cache (14 MB at a width of 576 for
/// two), and enough that partial results are a hundredth of the traffic.
const SPLIT_COLUMNS_MAX: usize = 6144;

/// The padded sizes of a model.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    /// The model's own sizes.
    pub(crate) config: Config,
    /// The kernels that suit them.
    pub(crate) kernels: Kernels,
    /// `Cp`.
    pub(crate) width: usize,
    /// `Fp`.
    pub(crate) hidden: usize,
    /// `(H·D)p`.
    pub(crate) attended: usize,
    /// `((H + 2G)·D)p`.
    pub(crate) qkv: usize,
    /// Queries of a tile of attention.
    pub(crate) queries: u32,
    /// Parts that the vocabulary is split into; they follow from its size alone.
    pub(crate) splits: usize,
    /// Columns of a part.
    pub(crate) split_columns: usize,
}

impl Shape {
    /// The sizes of a model on devices of a family.
    ///
    /// # Errors
    /// [`CudaError::Shape`] when attention is not made for the model's heads.
    pub(crate) fn new(config: &Config, family: Family) -> Result<Self, CudaError> {
        let kernels = Kernels::new(family, config.head_width).ok_or_else(|| {
            let known: Vec<String> = kernels::head_widths().map(|it| it.to_string()).collect();
            let (width, known) = (config.head_width, known.join(", "));
            let what = format!("a model with heads of {width} channels (there are {known})");
            CudaError::Shape { what }
        })?;
        let rows = kernels.attention.tile_rows;
        let queries = work::queries_per_tile(rows, config.heads, config.kv_heads);
        let queries = queries.ok_or_else(|| {
            let group = config.heads / config.kv_heads;
            let what = format!("a model with {group} heads to a key head, more than {rows},");
            CudaError::Shape { what }
        })?;
        let split_columns = split_columns(config.vocabulary);
        let (heads, kv_heads, head_width) = (config.heads, config.kv_heads, config.head_width);
        Ok(Shape {
            kernels,
            width: config.width.next_multiple_of(SLICE),
            hidden: config.hidden.next_multiple_of(SLICE),
            attended: (heads * head_width).next_multiple_of(SLICE),
            qkv: ((heads + 2 * kv_heads) * head_width).next_multiple_of(SLICE),
            queries,
            splits: config.vocabulary.div_ceil(split_columns),
            split_columns,
            config: config.clone(),
        })
    }

    /// Slices of a row of the residual stream.
    pub(crate) fn slices(&self) -> usize {
        self.width / SLICE
    }
}

/// Columns of a part of the vocabulary: parts are even in number where that can be, since Hopper's
/// blocks take them in pairs.
fn split_columns(vocabulary: usize) -> usize {
    let pairs = vocabulary.div_ceil(2 * SPLIT_COLUMNS_MAX);
    vocabulary
        .div_ceil(2 * pairs)
        .next_multiple_of(HEAD_COLUMNS)
}

/// Rows of a weight matrix with those that fill up its last tile.
pub(crate) fn weight_rows(rows: usize) -> usize {
    rows.next_multiple_of(WEIGHT_ROWS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_part_of_a_vocabulary_is_empty_or_too_large() {
        for vocabulary in (1..40_000).chain((1..4000).map(|n| n * 1049)) {
            let columns = split_columns(vocabulary);
            let splits = vocabulary.div_ceil(columns);
            assert!(columns <= SPLIT_COLUMNS_MAX && columns.is_multiple_of(HEAD_COLUMNS));
            assert!((splits - 1) * columns < vocabulary, "{vocabulary}");
        }
        assert_eq!(split_columns(49_152), 6144, "eight parts of SmolLM2's");
    }

    #[test]
    fn heads_that_attention_is_not_made_for_are_refused_by_name() {
        let mut config = Config {
            name: "wide".into(),
            layers: 1,
            width: 64,
            hidden: 64,
            heads: 1,
            kv_heads: 1,
            head_width: 48,
            vocabulary: 10,
            context: 8,
            rope_base: 10_000.0,
            norm_epsilon: 1e-5,
            tied: true,
        };
        let refused = |config: &Config| {
            let error = Shape::new(config, Family::Ampere).unwrap_err();
            error.to_string()
        };
        let text = refused(&config);
        assert!(
            text.contains("heads of 48 channels (there are 16, 32,"),
            "{text}"
        );
        (config.head_width, config.heads) = (256, 65);
        let text = refused(&config);
        assert!(
            text.contains("65 heads to a key head, more than 64,"),
            "{text}"
        );
        config.kv_heads = 5;
        assert!(Shape::new(&config, Family::Hopper).is_ok());
    }
}
