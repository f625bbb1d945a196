// The encoder's feed-forward layer, first half: out = GELU(operand weightᵀ + bias), as bf16.
//
// Tile 128 x 128 of [T, F], 128 threads; ceil(T/128) · ceil(F/128) blocks in x. Shared memory 65,536 B, the ring; 204
// registers (NVRTC 13.0). Two blocks an SM where 164 KiB allow it, one's GELU under the other's product.
//
// Floors for MiniLM-L6 (C = 384, F = 1,536) on an H100 at 798 TFLOP/s and 3.0 TB/s, by arithmetic, a token and layer:
// 1.18 MFLOP, 1.48 ns; 768 B read and 3,072 B written, 1.28 ns; 1,536 GELUs of 13 instructions, 0.67 ns of the SMs'
// issue slots. The product bounds it if GELU hides under it; see qkv.cu for mma.sync there.
#include "linear.cuh"
#include "tile.cuh"

struct LinearGeluLaunch : Tile {
    static constexpr int SHARED_BYTES = RING_BYTES;
};

KERNEL(linear_gelu, Linear, LinearGeluLaunch, finish_product<WithGelu>)
