// A projection of the encoder that is added to the stream: stream += operand weightᵀ + bias. Attention's output
// projection, and the feed-forward layer's second half; layer_norm comes after it.
//
// Tile 128 x 128 of [T, Cp], 128 threads; ceil(T/128) · ceil(Cp/128) blocks in x. Where Cp is an odd multiple of 64,
// the right half of the last tile's warps only copy. Shared memory 65,536 B, the ring; 203 registers (NVRTC 13.0). Two
// blocks an SM where 164 KiB allow it.
//
// Floors for MiniLM-L6 on an H100 at 798 TFLOP/s and 3.0 TB/s, by arithmetic, a token and layer: output projection (384
// to 384) 0.29 MFLOP, 0.37 ns, and 3,840 B, 1.28 ns; down (1,536 to 384) 1.18 MFLOP, 1.48 ns, and 6,144 B, 2.05 ns. The
// fp32 stream, 3,072 B of it read and written, bounds both unless it stays in L2.
#include "linear.cuh"
#include "tile.cuh"

struct LinearAddLaunch : Tile {
    static constexpr int SHARED_BYTES = RING_BYTES;
};

KERNEL(linear_add, LinearAdd, LinearAddLaunch, add_product<AddWithBias<Bias>>)
