// Queries, keys and values: out = rotate(rstd · operand weightᵀ), RMSNorm's scale and RoPE in the epilogue.
#include "tile.cuh"

struct QkvLaunch : Tile {
    static constexpr int SHARED_BYTES = RING_BYTES + BM * 4;
};

KERNEL(qkv, Projection, QkvLaunch, project<Rotate>)
