// LayerNorm of the stream in place, with the bf16 copy that the next product reads.
//
// A warp norms a row, of at most 1024 columns; ceil(T/8) blocks of 256 threads, four an SM: 64 registers
// (NVRTC 13.0). No shared memory.
//
// Floor for MiniLM-L6 (C = 384) on an H100 at 3.0 TB/s (arithmetic): 1,536 B read, 2,304 B written a token, 1.28 ns,
// twice a layer; less where the stream still lies in L2. No product.
#include "row.cuh"

DEVICE void layer_norm_body(const LayerNorm& p) {
    const int t = RowLaunch::row();
    if (t >= p.rows) return;
    Row row;
    row.add(p.stream + size_t(t) * p.width, p.width);
    const size_t at = size_t(t) * p.width;
    row.store_normed(p.gain, p.bias, p.epsilon, p.channels, p.width, p.stream + at, p.operand + at);
}

KERNEL(layer_norm, LayerNorm, RowLaunch, layer_norm_body)
