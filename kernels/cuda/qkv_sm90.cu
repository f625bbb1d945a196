// qkv_sm90: out[t, :] = rope(rstd_t · operand[t, :] · weightᵀ, position of t), as qkv.cu, with wgmma and the TMA.
//
// Tile 128 x 192, 384 threads, 221.4 kB of shared memory, one block a multiprocessor, persistent grid.
// Limit: at SmolLM2 (K = 576, N = 960) 1.1 MFLOP and 3.1 kB of device memory a token: on an H100 1.4 ns by the products
// at 798 TFLOP/s, 1.0 ns by memory at 3.0 TB/s. The tensor cores bound it, narrowly.
#include "walk_sm90.cuh"

DEVICE void qkv_sm90_block(const Projection& p, const CUtensorMap& operand_map, const CUtensorMap& weight_map) {
    run_tiles(ProductWalk(p.rows, p.columns), NormedTiles<Rotate>(p), p.inner, operand_map, weight_map);
}

KERNEL_MAPPED(qkv_sm90, Projection, LaunchSm90, qkv_sm90_block)
