//! What every model on the CPU stands on: matrix products in fixed tiles, the loops between them,
//! and threads.

pub(crate) mod elementwise;
pub(crate) mod linear;

use crate::ModelError;

/// A model's own threads; 0 starts one a core.
pub(crate) fn start_threads(threads: usize) -> Result<rayon::ThreadPool, ModelError> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .thread_name(|thread| format!("model-{thread}"))
        .build()
        .map_err(|source| ModelError::Threads { threads, source })
}

/// The arithmetic of models on the CPU, as [`ModelInfo::backend`](crate::ModelInfo) gives it.
pub fn backend() -> String {
    format!("cpu f32 {}", vector_extension())
}

/// The instructions that `gemm` chooses on this machine; its rounding follows from them.
fn vector_extension() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        if std::is_x86_feature_detected!("avx512f") {
            return "avx512";
        }
        if std::is_x86_feature_detected!("fma") {
            return "avx2";
        }
    }
    match cfg!(target_arch = "aarch64") {
        true => "neon",
        false => "scalar",
    }
}
