// residual_sm90: stream[t, :] += operand[t, :] · weightᵀ, its bf16 copy and the squares of its slices, as residual.cu,
// with wgmma and the TMA. Attention's output projection and down.
//
// Tile 128 x 192, 384 threads, 221.4 kB of shared memory, one block a multiprocessor, persistent grid.
// Limit: at SmolLM2 N = 576, and 5.8 kB of stream and copy a token. Output projection (K = 576): 0.66 MFLOP and 6.9 kB:
// on an H100 0.8 ns by the products at 798 TFLOP/s, 2.3 ns by memory at 3.0 TB/s: memory bounds it, unless the stream
// stays in L2. Down (K = 1536): 1.8 MFLOP and 8.8 kB: 2.2 and 2.9 ns; its rows are streamed, 53 bytes a cycle and
// multiprocessor out of L2, which at 5.5 to 7 TB/s take 4.0 to 3.1 ns.
#include "walk_sm90.cuh"

DEVICE void residual_sm90_block(const Residual& p, const CUtensorMap& operand_map, const CUtensorMap& weight_map) {
    run_tiles(ProductWalk(p.rows, p.width), Added<AddToStream, Residual>{p}, p.inner, operand_map, weight_map);
}

KERNEL_MAPPED(residual_sm90, Residual, LaunchSm90, residual_sm90_block)
