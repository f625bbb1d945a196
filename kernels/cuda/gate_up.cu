// The feed-forward layer's first half: out = silu(gate) · up, with gate and up = rstd · operand weightᵀ.
//
// Tile 128 x 128 of [T, 2F], half of it gate and half up, interleaved by eight, so 128 x 64 of the result; 128 threads;
// ceil(T/128) · ceil(2F/128) blocks in x. Shared memory 66,048 B: the ring and the rows' scales. Two blocks an SM where
// 164 KiB allow it.
//
// Floors for SmolLM2-135M (C = 576, F = 1,536) on an H100 at 798 TFLOP/s and 3.0 TB/s, by arithmetic, a token and
// layer: 3.54 MFLOP, 4.43 ns; 1,188 B read and 3,072 B written, 1.42 ns. The product bounds it; see qkv.cu for
// mma.sync there.
#include "tile.cuh"

struct GateUpLaunch : Tile {
    static constexpr int SHARED_BYTES = RING_BYTES + BM * 4;
};

KERNEL(gate_up, Projection, GateUpLaunch, project<SwiGlu>)
