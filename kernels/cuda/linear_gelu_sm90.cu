// linear_gelu_sm90: out[t, :] = GELU(operand[t, :] · weightᵀ + bias), as linear_gelu.cu, with wgmma and the TMA.
//
// Tile 128 x 192, 384 threads, 221.4 kB of shared memory, one block a multiprocessor, persistent grid.
// Limit: at MiniLM-L6 (K = 384, N = 1536) 1.2 MFLOP and 3.8 kB of device memory a token: on an H100 1.5 ns by the
// products at 798 TFLOP/s, 1.3 ns by memory at 3.0 TB/s. A tile's 24,576 GELUs take 2500 issue slots of each of the four
// schedulers and 1536 cycles of the special function units, under the other consumer's 4608 cycles of products.
#include "linear.cuh"
#include "walk_sm90.cuh"

DEVICE void linear_gelu_sm90_block(const Linear& p, const CUtensorMap& operand_map, const CUtensorMap& weight_map) {
    run_tiles(ProductWalk(p.rows, p.columns), Finished<WithGelu, Linear>{p}, p.inner, operand_map, weight_map);
}

KERNEL_MAPPED(linear_gelu_sm90, Linear, LaunchSm90, linear_gelu_sm90_block)
