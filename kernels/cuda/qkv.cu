// Queries, keys and values: out = turn(rstd · operand weightᵀ). RMSNorm's scale, rstd, and RoPE are the epilogue.
//
// Tile 128 x 128 of [T, N], N = (H + 2G)·D, 128 threads; ceil(T/128) · ceil(N/128) blocks in x. Shared memory 66,048
// B: the ring and the rows' scales. Two blocks an SM where 164 KiB allow it, so that one's angles and stores run
// under the other's product.
//
// Floors for SmolLM2-135M (C = 576, N = 960) on an H100 at 798 TFLOP/s and 3.0 TB/s, by arithmetic, a token and
// layer: 1.11 MFLOP, 1.39 ns; 1,192 B read and 1,920 B written, 1.04 ns. The product bounds it. mma.sync cannot reach
// its floor there: 24 KiB pass through shared memory for each 128 x 128 x 16, 192 cycles against the tensor cores'
// 128.
#include "tile.cuh"

struct QkvLaunch : Tile {
    static constexpr int SHARED_BYTES = RING_BYTES + BM * 4;
};

KERNEL(qkv, Projection, QkvLaunch, project<Rotate>)
