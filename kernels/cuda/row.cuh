// A row of the residual stream in the registers of a warp, and LayerNorm of it.
//
// Lane l holds columns 128i + 4l to 128i + 4l + 3 for each i, so every access to the fp32 stream is 16 bytes a lane and
// 512 contiguous bytes a warp. A row is read once, whatever is computed of it; that bounds its width. Sums go over a
// lane's columns in order, then over the lanes by a fixed tree: the bits follow from the row alone.
#pragma once
#include "shapes.cuh"

// Sum over the lanes of the warp, the same in each.
DEVICE float warp_sum(float x) {
#pragma unroll
    for (int mask = 1; mask < 32; mask *= 2) x += shuffle_xor(x, mask);
    return x;
}

class Row {
    static constexpr int PIECE = 128, PIECES = 8;
    float x[PIECES][4] = {};

  public:
    static constexpr int WIDTH_MAX = PIECE * PIECES;

    // Calls take(four columns, the first one's number) for what this lane holds of the first `width` columns.
    template <class Take> DEVICE void each(int width, Take take) {
#pragma unroll
        for (int i = 0; i < PIECES; i++) {
            const int column = i * PIECE + int(threadIdx.x) % 32 * 4;
            if (column < width) take(x[i], column);
        }
    }

    // Adds what lies in memory.
    DEVICE void add(const float* from, int width) {
        each(width, [&](float(&x)[4], int column) {
            const float4 more = *reinterpret_cast<const float4*>(from + column);
            x[0] += more.x, x[1] += more.y, x[2] += more.z, x[3] += more.w;
        });
    }

    DEVICE void store(float* to, int width) {
        each(width, [&](float(&x)[4], int column) {
            *reinterpret_cast<float4*>(to + column) = make_float4(x[0], x[1], x[2], x[3]);
        });
    }

    // Sum over the row of term(x), columns from `channels` on left out.
    template <class Term> DEVICE float sum(int channels, Term term) {
        float total = 0.f;
        each(channels, [&](float(&x)[4], int column) {
#pragma unroll
            for (int j = 0; j < 4; j++)
                if (column + j < channels) total += term(x[j]);
        });
        return warp_sum(total);
    }

    // Stores (x - mean) / sqrt(variance + epsilon) · gain + bias as fp32 and as bf16, mean and variance over the first
    // `channels` columns (arXiv 1607.06450). The variance is of what the mean leaves: a difference of two large sums
    // would lose its digits. Four columns are stored before the next four's gains are loaded, which saves registers.
    DEVICE void store_normed(const float* gain, const float* bias, float epsilon, int channels, int width,
                             float* stream, bf16* operand) {
        const float mean = sum(channels, [](float x) { return x; }) / float(channels);
        const float squares = sum(channels, [&](float x) { return (x - mean) * (x - mean); });
        const float scale = 1.f / sqrtf(squares / float(channels) + epsilon);
        each(width, [&](float(&x)[4], int column) {
            const float4 g = *reinterpret_cast<const float4*>(gain + column);
            const float4 b = *reinterpret_cast<const float4*>(bias + column);
            const float4 y = make_float4((x[0] - mean) * scale * g.x + b.x, (x[1] - mean) * scale * g.y + b.y,
                                         (x[2] - mean) * scale * g.z + b.z, (x[3] - mean) * scale * g.w + b.w);
            *reinterpret_cast<float4*>(stream + column) = y;
            *reinterpret_cast<uint2*>(operand + column) = make_uint2(pack_bf16(y.x, y.y), pack_bf16(y.z, y.w));
        });
    }
};

// Launch facts of the kernels that give each row a warp.
struct RowLaunch {
    static constexpr int THREADS = 256, SHARED_BYTES = 0, MIN_BLOCKS = 4;
    static constexpr int BM = THREADS / 32, BN = 1;

    // This warp's row.
    DEVICE static int row() { return int(blockIdx.x) * BM + int(threadIdx.x) / 32; }
};
