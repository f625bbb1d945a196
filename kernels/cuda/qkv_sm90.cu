// qkv_sm90: out[t, :] = rope(rstd_t · operand[t, :] · weightᵀ, position of t), as qkv.cu, with wgmma and the TMA.
//
// Tile 128 x 192, 384 threads, 221.4 kB of shared memory, one block a multiprocessor, persistent grid.
// Limit: at SmolLM2 (K = 576, N = 960) 1.1 MFLOP and 3.1 kB of device memory a token: on an H100 1.4 ns by the products
// at 798 TFLOP/s, 1.0 ns by memory at 3.0 TB/s. The tensor cores bound it, narrowly.
#include "walk_sm90.cuh"

// Rotate with half the addresses, because 192 accumulators leave few registers: head widths are multiples of 16, so the
// two pairs that a lane has of 16 columns are 4 apart in the tables.
struct RotateSm90 {
    const Projection& p;
    int column, pairs[SLICE / 16];

    DEVICE RotateSm90(const Projection& projection, int column) : p(projection), column(column) {
#pragma unroll
        for (int n = 0; n < SLICE / 16; n++) pairs[n] = column_of(2 * n) % p.head_width / 2;
    }

    DEVICE int column_of(int n) const { return column + 8 * n + 2 * int(threadIdx.x & 3); }

    DEVICE void operator()(int row, float scale, Slice& x) const {
        const bool valid = row < p.rows;
        const uint32_t position = valid ? __ldg(p.positions + row) : 0;
        const float* const cosines = p.cosines + size_t(position) * (p.head_width / 2);
        const float* const sines = p.sines + size_t(position) * (p.head_width / 2);
        float cosine[SLICE / 8], sine[SLICE / 8];  // all loads before the first use
#pragma unroll
        for (int n = 0; n < SLICE / 8; n++) {
            const int pair = pairs[n / 2] + n % 2 * 4;
            cosine[n] = __ldg(cosines + pair), sine[n] = __ldg(sines + pair);
        }
#pragma unroll
        for (int n = 0; n < SLICE / 8; n++) {
            const float a = x[n][0] * scale, b = x[n][1] * scale;
            const bool turns = column_of(n) < p.rotated;
            x[n][0] = turns ? a * cosine[n] - b * sine[n] : a;
            x[n][1] = turns ? b * cosine[n] + a * sine[n] : b;
        }
        store_slice(p.out + size_t(row) * p.ld_out + column, x, valid);
    }
};

DEVICE void qkv_sm90_block(const Projection& p, const CUtensorMap& operand_map, const CUtensorMap& weight_map) {
    run_tiles(ProductWalk(p.rows, p.columns), Normed<RotateSm90>(p), p.inner, operand_map, weight_map);
}

KERNEL_MAPPED(qkv_sm90, Projection, LaunchSm90, qkv_sm90_block)
