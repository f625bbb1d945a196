//! An encoder's sizes as the kernels see them, padded to whole tiles; refuses what they are not made
//! for.

use crate::EncoderConfig;
use crate::cuda::error::CudaError;
use crate::cuda::kernels::Family;
use crate::cuda::kernels::encoder::{EncoderKernels, NORM_WIDTH_MAX, head_widths};
use crate::cuda::shape::SLICE;
use crate::cuda::work;

/// The padded sizes of an encoder.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    /// The model's own sizes.
    pub(crate) config: EncoderConfig,
    /// The kernels that suit them.
    pub(crate) kernels: EncoderKernels,
    /// `Cp`, also of what attention gives, whose heads are `C` wide together.
    pub(crate) width: usize,
    /// `Fp`.
    pub(crate) hidden: usize,
    /// `(3·C)p`.
    pub(crate) qkv: usize,
    /// Queries of a tile of attention.
    pub(crate) queries: u32,
}

impl Shape {
    /// The sizes of an encoder on devices of a family.
    ///
    /// # Errors
    /// [`CudaError::Shape`] when attention is not made for the encoder's heads.
    pub(crate) fn new(config: &EncoderConfig, family: Family) -> Result<Self, CudaError> {
        let refused = |what| CudaError::Shape { what };
        let (width, most) = (config.width.next_multiple_of(SLICE), NORM_WIDTH_MAX);
        if width > most {
            let channels = config.width;
            let what = format!("an encoder of {channels} channels, more than {most},");
            return Err(refused(what));
        }
        let head_width = config.head_width();
        let kernels = EncoderKernels::new(family, head_width).ok_or_else(|| {
            let known: Vec<String> = head_widths().map(|it| it.to_string()).collect();
            let known = known.join(", ");
            let what =
                format!("an encoder with heads of {head_width} channels (there are {known})");
            refused(what)
        })?;
        let rows = kernels.attention.tile_rows;
        let queries = work::queries_per_tile(rows, config.heads, config.heads);
        Ok(Shape {
            width,
            hidden: config.hidden.next_multiple_of(SLICE),
            qkv: (3 * config.width).next_multiple_of(SLICE),
            queries: queries.expect("a head has keys of its own"),
            config: config.clone(),
            kernels,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::odd;
    use super::*;

    fn refusal(change: impl Fn(&mut EncoderConfig)) -> String {
        let mut config = odd();
        change(&mut config);
        let error = Shape::new(&config, Family::Ampere).unwrap_err();
        error.to_string()
    }

    #[test]
    fn encoders_that_the_kernels_are_not_made_for_are_refused_by_name() {
        let text = refusal(|config| config.heads = 2);
        assert!(
            text.contains("heads of 48 channels (there are 16, 32,"),
            "{text}"
        );
        let text = refusal(|config| (config.width, config.heads) = (1088, 34));
        assert!(
            text.contains("an encoder of 1088 channels, more than 1024,"),
            "{text}"
        );
    }

    #[test]
    fn sizes_are_padded_to_slices() {
        let shape = Shape::new(&odd(), Family::Hopper).unwrap();
        assert_eq!((shape.width, shape.qkv, shape.hidden), (128, 320, 192));
        let tile_rows = shape.kernels.attention.tile_rows;
        assert_eq!(shape.queries, tile_rows, "a head's keys are its own");
    }
}
