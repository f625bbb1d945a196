// A projection of the encoder: out = operand weightᵀ + bias, as bf16. Queries, keys and values in one product.
//
// Tile 128 x 128 of [T, N], 128 threads; ceil(T/128) · ceil(N/128) blocks in x. Shared memory 65,536 B, the ring; 204
// registers (NVRTC 13.0). Two blocks an SM where 164 KiB allow it.
//
// Floors for MiniLM-L6 (C = 384, N = 1,152) on an H100 at 798 TFLOP/s and 3.0 TB/s, by arithmetic, a token and layer:
// 0.88 MFLOP, 1.11 ns; 768 B read and 2,304 B written, 1.02 ns. The product bounds it, narrowly; see qkv.cu for
// mma.sync there.
#include "linear.cuh"
#include "tile.cuh"

struct LinearLaunch : Tile {
    static constexpr int SHARED_BYTES = RING_BYTES;
};

KERNEL(linear, Linear, LinearLaunch, finish_product<WithBias>)
