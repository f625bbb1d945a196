// The feed-forward layer's first half: out = silu(gate) · up, with gate and up = rstd · operand weightᵀ.
#include "tile.cuh"

struct GateUpLaunch : Tile {
    static constexpr int SHARED_BYTES = RING_BYTES + BM * 4;
};

KERNEL(gate_up, Projection, GateUpLaunch, project<SwiGlu>)
