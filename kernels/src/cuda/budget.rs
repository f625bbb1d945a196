//! How many tokens a device computes on at once: as many as suit it, and fit its memory.

use super::error::CudaError;
use crate::LoadOptions;

/// Tokens of a forward pass where the configuration leaves the choice, and the device has the
/// memory: enough for some hundred tiles of rows, so that the last round of blocks is a small part.
pub(crate) const TOKENS_WISHED: usize = 65_536;
/// The fewest that are chosen so: fewer leave a device half idle.
const TOKENS_LEAST: usize = 4096;
/// What the driver, the kernels and its allocator's rounding take beside the buffers.
const RESERVE_BYTES: u64 = 256 << 20;

/// The memory of a model, for one number of rows.
pub(crate) trait Planned: Sized {
    /// Rows of a forward pass at most.
    fn rows(&self) -> usize;

    /// Memory of all weights.
    fn weight_bytes(&self) -> u64;

    /// Memory of everything that is not a weight.
    fn batch_bytes(&self) -> u64;

    /// What a device must have free.
    fn needed_bytes(&self) -> u64 {
        self.weight_bytes() + self.batch_bytes() + RESERVE_BYTES
    }
}

/// What there is to plan with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    /// The rows asked for; `None` leaves the choice.
    pub(crate) rows: Option<usize>,
    /// Tokens of the longest document, which goes through as a whole.
    pub(crate) document_tokens: usize,
    /// Memory that the device has for this model.
    pub(crate) free_bytes: u64,
}

impl Budget {
    /// For a model of this context on a device with so much free memory.
    pub(crate) fn of(options: &LoadOptions, context: usize, free_bytes: u64) -> Self {
        Budget {
            rows: options.batch_tokens_max,
            document_tokens: options.document_tokens(context),
            free_bytes: free_bytes.saturating_sub(options.gpu_bytes_kept),
        }
    }

    /// The plan for the rows asked for, or for as many of [`TOKENS_WISHED`], halved while they do
    /// not fit, as hold the longest document. `plan` makes one for a number of rows.
    ///
    /// # Errors
    /// [`CudaError::Memory`] when it does not fit.
    pub(crate) fn fit<P: Planned>(&self, plan: impl Fn(usize) -> P) -> Result<P, CudaError> {
        let least = self.rows_least();
        let fits = |plan: &P| plan.needed_bytes() <= self.free_bytes;
        let mut planned = plan(self.rows.unwrap_or(TOKENS_WISHED.max(least)));
        while self.rows.is_none() && !fits(&planned) && planned.rows() > least {
            planned = plan(least.max(planned.rows() / 2));
        }
        match fits(&planned) {
            true => Ok(planned),
            false => Err(CudaError::Memory {
                weight_bytes: planned.weight_bytes(),
                tokens: planned.rows(),
                batch_bytes: planned.batch_bytes(),
                free_bytes: self.free_bytes,
            }),
        }
    }

    /// The fewest rows that [`Budget::fit`] would take.
    pub(crate) fn rows_least(&self) -> usize {
        self.rows.unwrap_or(TOKENS_LEAST.max(self.document_tokens))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A model of a thousand bytes a row.
    struct Model(usize);

    impl Planned for Model {
        fn rows(&self) -> usize {
            self.0
        }

        fn weight_bytes(&self) -> u64 {
            12_345
        }

        fn batch_bytes(&self) -> u64 {
            1000 * self.0 as u64
        }
    }

    fn fit(
        rows: Option<usize>,
        document_tokens: usize,
        free_bytes: u64,
    ) -> Result<usize, CudaError> {
        let budget = Budget {
            rows,
            document_tokens,
            free_bytes,
        };
        budget.fit(Model).map(|model| model.0)
    }

    #[test]
    fn the_token_budget_shrinks_to_the_memory_unless_it_was_given() {
        let needed = |rows| Model(rows).needed_bytes();
        let rows = |wanted, free| fit(wanted, 1024, free);
        assert_eq!(rows(None, u64::MAX), Ok(TOKENS_WISHED));
        assert_eq!(fit(None, 100_000, u64::MAX), Ok(100_000));
        assert_eq!(fit(None, 5000, needed(5000)), Ok(5000));
        assert_eq!(rows(None, needed(TOKENS_WISHED) - 1), Ok(TOKENS_WISHED / 2));
        assert_eq!(rows(None, needed(TOKENS_LEAST)), Ok(TOKENS_LEAST));
        assert_eq!(rows(Some(100), needed(100)), Ok(100));
        for (wanted, free) in [
            (None, needed(TOKENS_LEAST) - 1),
            (Some(100), needed(100) - 1),
        ] {
            let error = rows(wanted, free).unwrap_err();
            assert!(matches!(error, CudaError::Memory { .. }), "{error}");
            let expected = format!("{free} bytes are free");
            assert!(error.to_string().contains(&expected), "{error}");
        }
    }
}
