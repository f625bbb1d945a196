//! From a document's rows to its embedding.

use std::ops::Range;

use super::{EncoderConfig, Pooling};
use crate::cpu::elementwise::{add, divide, length};

/// The shortest vector that is scaled to length 1, as PyTorch's `normalize` has it; a shorter one,
/// which has no direction, stays as it is in proportion.
const LENGTH_MIN: f32 = 1e-12;

/// The embedding of the document whose rows these are, to `out`, `[C]`; zeros when it has none.
pub(super) fn pool(config: &EncoderConfig, stream: &[f32], rows: Range<usize>, out: &mut [f32]) {
    out.fill(0.0);
    let counted = match config.pooling {
        Pooling::Mean => rows.clone(),
        Pooling::First => rows.start..rows.end.min(rows.start + 1),
    };
    if counted.is_empty() {
        return;
    }
    let width = config.width;
    let count = counted.len() as f32;
    let rows = stream[counted.start * width..counted.end * width].chunks_exact(width);
    pulp::Arch::new().dispatch(
        #[inline(always)]
        || {
            for row in rows {
                add(out, row);
            }
            divide(out, count);
            if config.normalised {
                divide(out, length(out).max(LENGTH_MIN));
            }
        },
    );
}
