// linear_sm90: out[t, :] = operand[t, :] · weightᵀ + bias, as linear.cu, with wgmma and the TMA.
//
// Tile 128 x 192, 384 threads, 221.4 kB of shared memory, one block a multiprocessor, persistent grid.
// Limit: at MiniLM-L6 (K = 384, N = 1152) 0.88 MFLOP and 3.1 kB of device memory a token: on an H100 1.1 ns by the
// products at 798 TFLOP/s, 1.0 ns by memory at 3.0 TB/s. Six whole tiles of columns; the rows stay for all of them.
#include "linear.cuh"
#include "walk_sm90.cuh"

DEVICE void linear_sm90_block(const Linear& p, const CUtensorMap& operand_map, const CUtensorMap& weight_map) {
    run_tiles(ProductWalk(p.rows, p.columns), Finished<WithBias, Linear>{p}, p.inner, operand_map, weight_map);
}

KERNEL_MAPPED(linear_sm90, Linear, LaunchSm90, linear_sm90_block)
