// gate_up_sm90: out[t, f] = silu(g) · u with (g, u) = rstd_t · operand[t, :] · weightᵀ, as gate_up.cu, with wgmma and
// the TMA.
//
// Tile 128 x 192 (96 channels of gate and of up), 384 threads, 221.4 kB of shared memory, one block a multiprocessor,
// persistent grid.
// Limit: at SmolLM2 (K = 576, N = 3072) 3.5 MFLOP and 4.2 kB of device memory a token: on an H100 4.4 ns by the
// products at 798 TFLOP/s, 1.4 ns by memory at 3.0 TB/s. The tensor cores bound it; two special functions an output,
// 1536 cycles a tile, hide behind the other consumer's 6912 of products.
#include "walk_sm90.cuh"

DEVICE void gate_up_sm90_block(const Projection& p, const CUtensorMap& operand_map, const CUtensorMap& weight_map) {
    run_tiles(ProductWalk(p.rows, p.columns), Normed<SwiGlu>(p), p.inner, operand_map, weight_map);
}

KERNEL_MAPPED(gate_up_sm90, Projection, LaunchSm90, gate_up_sm90_block)
