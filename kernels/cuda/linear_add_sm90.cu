// linear_add_sm90: stream[t, :] += operand[t, :] · weightᵀ + bias, as linear_add.cu, with wgmma and the TMA.
//
// Tile 128 x 192, 384 threads, 221.4 kB of shared memory, one block a multiprocessor, persistent grid.
// Limit: at MiniLM-L6 N = 384, two whole tiles, and 3.1 kB of stream a token. Output projection (K = 384): 0.29 MFLOP
// and 3.8 kB: on an H100 0.4 ns by the products at 798 TFLOP/s, 1.3 ns by memory at 3.0 TB/s. Down (K = 1536): 1.2 MFLOP
// and 6.1 kB: 1.5 and 2.0 ns; its rows are streamed, 53 bytes a cycle and multiprocessor out of L2, which at 5.5 to 7
// TB/s take 2.7 to 2.1 ns. Memory bounds both, unless the stream stays in L2. Next to 192
// accumulators and a row of the stream no registers are left for the biases: lanes hold two each.
//
// Not done: norming the rows in the same kernel, which would spare 3.1 of the 7.7 or 10.0 kB a token that this and
// layer_norm move. A block would own whole rows: a tile of 128 x 384, 64 rows for each consumer, which the accumulators
// just allow, and three slots of 64 KiB. Estimate, with a multiprocessor's 13 bytes a cycle of device memory and the
// product under nothing but its own loads: 75,000 cycles a tile become 55,000 for the output projection, 98,000 become
// 75,000 for down, together 1.5 ns of the layer's 9.2 ns a token that memory takes. Half of it or less where the stream
// stays in L2; and 8,192 rows would be 64 tiles, for 132 multiprocessors. To be decided by a measurement.
#include "linear.cuh"
#include "walk_sm90.cuh"

DEVICE void linear_add_sm90_block(const LinearAdd& p, const CUtensorMap& operand_map, const CUtensorMap& weight_map) {
    const Added<AddWithBias<SharedBias>, LinearAdd> epilogue{p};
    run_tiles(ProductWalk(p.rows, p.width), epilogue, p.inner, operand_map, weight_map);
}

KERNEL_MAPPED(linear_add_sm90, LinearAdd, LaunchSm90, linear_add_sm90_block)
