// A product added to the residual stream: stream += operand weightᵀ, with the stream's bf16 copy and the sums of
// squares that the next norm needs. Attention's output projection, and the feed-forward layer's second half.
//
// Tile 128 x 128 of [T, Cp], 128 threads; ceil(T/128) · ceil(Cp/128) blocks in x. Where Cp is an odd multiple of 64,
// the right half of the last tile's warps only copy. Shared memory 65,536 B, the ring. Two blocks an SM where 164 KiB
// allow it.
//
// Floors for SmolLM2-135M on an H100 at 798 TFLOP/s and 3.0 TB/s, by arithmetic, a token and layer: output projection
// (576 to 576) 0.66 MFLOP, 0.83 ns, and 6.9 KB, 2.32 ns; down (1,536 to 576) 1.77 MFLOP, 2.22 ns, and 8.9 KB, 2.96 ns.
// The fp32 stream, 4.6 KB of it, bounds both unless it stays in L2: 50 MB hold it and the layer's other buffers for
// about 5,000 tokens.
#include "tile.cuh"

struct ResidualLaunch : Tile {
    static constexpr int SHARED_BYTES = RING_BYTES;
};

KERNEL(residual, Residual, ResidualLaunch, add_product<AddToStream>)
