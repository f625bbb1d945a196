// What happens to a product's accumulators before they leave the registers: a policy struct for each kernel, shared by
// the mma.sync and the wgmma version, because both leave a row in the same four lanes.
//
// A policy is made for a slice of 64 columns and called for each row by the four lanes that hold it (a quad, t =
// lane % 4): `x[n][j]` is column `column + 8n + 2t + j`. All 32 lanes of the warp call together, eight rows at a time;
// rows past the end are computed as well and not stored. `column` is a multiple of 64.
#pragma once
#include "shapes.cuh"

constexpr int SLICE = 64;
using Slice = float[SLICE / 8][2];
constexpr float LOG2E = 1.4426950408889634f;

// Turns four words that each lane of a quad holds, one of each of four neighbouring 16-byte pieces, into one whole
// piece a lane: lane t gets word t of lanes 0 to 3. So a quad stores 64 contiguous bytes with one instruction.
DEVICE uint4 quad_transpose(uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
    const int t = threadIdx.x & 3;
    const bool odd = t & 1, upper = t & 2;
    const uint32_t ab = shuffle_xor(odd ? a : b, 1), cd = shuffle_xor(odd ? c : d, 1);
    a = odd ? ab : a, b = odd ? b : ab;
    c = odd ? cd : c, d = odd ? d : cd;
    const uint32_t first = shuffle_xor(upper ? a : c, 2), second = shuffle_xor(upper ? b : d, 2);
    return upper ? make_uint4(first, second, c, d) : make_uint4(a, b, first, second);
}

// Sum over the four lanes of a quad, the same in each.
DEVICE float quad_sum(float x) {
    x += shuffle_xor(x, 1);
    return x + shuffle_xor(x, 2);
}

// Stores a slice as bf16, 16 bytes a lane. `to` is the slice's first column.
DEVICE void store_slice(bf16* to, const Slice& x, bool valid) {
#pragma unroll
    for (int n = 0; n < SLICE / 8; n += 4) {
        const uint4 piece = quad_transpose(pack_bf16(x[n][0], x[n][1]), pack_bf16(x[n + 1][0], x[n + 1][1]),
                                           pack_bf16(x[n + 2][0], x[n + 2][1]), pack_bf16(x[n + 3][0], x[n + 3][1]));
        if (valid) *reinterpret_cast<uint4*>(to + 8 * (n + int(threadIdx.x & 3))) = piece;
    }
}

// RMSNorm's scale of a row: 1/sqrt(mean of squares + epsilon), the slices summed in order.
DEVICE float norm_scale(const float* squares, int slices, int channels, float epsilon) {
    float sum = 0.f;
    for (int s = 0; s < slices; s++) sum += squares[s];
    return 1.f / sqrtf(sum / float(channels) + epsilon);
}

// qkv: the norm's scale, then query and key columns turn with the row's position (RoFormer, arXiv 2104.09864). The
// weights' rows are ordered so that a pair that turns together is two neighbouring columns, so in one lane. Value
// columns load angles too and drop them: a branch around the loads would keep the next row's from starting early.
struct Rotate {
    const Projection& p;
    int column, pairs[SLICE / 8];  // place of each pair's angle in a row of the tables

    DEVICE Rotate(const Projection& projection, int column) : p(projection), column(column) {
#pragma unroll
        for (int n = 0; n < SLICE / 8; n++) pairs[n] = column_of(n) % p.head_width / 2;
    }

    DEVICE int column_of(int n) const { return column + 8 * n + 2 * int(threadIdx.x & 3); }

    DEVICE void operator()(int row, float scale, Slice& x) const {
        const bool valid = row < p.rows;
#pragma unroll
        for (auto& pair : x) pair[0] *= scale, pair[1] *= scale;
        turn(valid ? __ldg(p.positions + row) : 0, x);
        store_slice(p.out + size_t(row) * p.ld_out + column, x, valid);
    }

    DEVICE void turn(uint32_t position, Slice& x) const {
        const float* const cosines = p.cosines + size_t(position) * (p.head_width / 2);
        const float* const sines = p.sines + size_t(position) * (p.head_width / 2);
        float cosine[SLICE / 8], sine[SLICE / 8];  // all loads before the first use
#pragma unroll
        for (int n = 0; n < SLICE / 8; n++) cosine[n] = __ldg(cosines + pairs[n]), sine[n] = __ldg(sines + pairs[n]);
#pragma unroll
        for (int n = 0; n < SLICE / 8; n++) {
            const float a = x[n][0], b = x[n][1];
            const bool turns = column_of(n) < p.rotated;
            x[n][0] = turns ? a * cosine[n] - b * sine[n] : a;
            x[n][1] = turns ? b * cosine[n] + a * sine[n] : b;
        }
    }
};

// gate_up: silu(gate) · up. Columns come in pairs of eight, gate before up, so both are in one lane; a slice gives 32.
struct SwiGlu {
    const Projection& p;
    int column;

    DEVICE static float silu_times(float gate, float up) {
        return gate * reciprocal_fast(1.f + exp2_fast(-LOG2E * gate)) * up;
    }

    DEVICE void operator()(int row, float scale, const Slice& x) const {
        uint32_t words[SLICE / 16];
#pragma unroll
        for (int n = 0; n < SLICE / 16; n++) {
            const auto &gate = x[2 * n], &up = x[2 * n + 1];
            const float first = silu_times(gate[0] * scale, up[0] * scale);
            words[n] = pack_bf16(first, silu_times(gate[1] * scale, up[1] * scale));
        }
        const uint4 piece = quad_transpose(words[0], words[1], words[2], words[3]);
        bf16* const to = p.out + size_t(row) * p.ld_out + column / 2 + 8 * int(threadIdx.x & 3);
        if (row < p.rows) *reinterpret_cast<uint4*>(to) = piece;
    }
};

// residual: adds to the stream in fp32; writes its bf16 copy and the sum of the slice's squares. A row's part of the
// stream is loaded by a call of its own, so that the next row's can be under way while this one is stored.
struct AddToStream {
    const Residual& p;
    int column;
    using Before = float2[SLICE / 8];

    DEVICE float2* stream(int row) const {
        return reinterpret_cast<float2*>(p.stream + size_t(row) * p.width + column + 2 * int(threadIdx.x & 3));
    }

    DEVICE void load(int row, Before& before) const {
#pragma unroll
        for (int n = 0; n < SLICE / 8; n++) before[n] = row < p.rows ? stream(row)[4 * n] : make_float2(0.f, 0.f);
    }

    DEVICE void operator()(int row, const Before& before, Slice& x) const {
        const bool valid = row < p.rows;
        float squares = 0.f;
#pragma unroll
        for (int n = 0; n < SLICE / 8; n++) {
            x[n][0] += before[n].x, x[n][1] += before[n].y;
            squares += x[n][0] * x[n][0] + x[n][1] * x[n][1];
            if (valid) stream(row)[4 * n] = make_float2(x[n][0], x[n][1]);
        }
        store_slice(p.operand_out + size_t(row) * p.width + column, x, valid);
        squares = quad_sum(squares);
        if (valid && (threadIdx.x & 3) == 0) p.squares[size_t(row) * (p.width / SLICE) + column / SLICE] = squares;
    }
};

// head: what a thread knows so far of a row's logits, in units of log2 (the online softmax of arXiv 1805.02867). It
// starts far below any logit but finite, so that a thread which has met no token yet adds zeros, never NaN.
struct Likelihood {
    float max = -1e30f, sum = 0.f;

    // Takes in a slice of products; `scale` is the norm's times log2(e).
    DEVICE void add(float scale, const Slice& x) {
        float top = -INFINITY;
#pragma unroll
        for (int n = 0; n < SLICE / 8; n++) top = fmaxf(top, fmaxf(x[n][0], x[n][1]));
        top = fmaxf(max, top * scale);
        sum *= exp2_fast(max - top);
        max = top;
#pragma unroll
        for (int n = 0; n < SLICE / 8; n++) sum += exp2_fast(x[n][0] * scale - top) + exp2_fast(x[n][1] * scale - top);
    }

    // Takes in what another thread knows of other tokens of the same row.
    DEVICE void merge(float other_max, float other_sum) {
        const float top = fmaxf(max, other_max);
        sum = sum * exp2_fast(max - top) + other_sum * exp2_fast(other_max - top);
        max = top;
    }

    // Merges the four lanes of a quad.
    DEVICE void merge_quad() {
        merge(shuffle_xor(max, 1), shuffle_xor(sum, 1));
        merge(shuffle_xor(max, 2), shuffle_xor(sum, 2));
    }
};

// Puts what lies past the vocabulary's end out of the sum. Only the last slice has any.
DEVICE void mask_past(int vocabulary, int column, Slice& x) {
#pragma unroll
    for (int n = 0; n < SLICE / 8; n++)
#pragma unroll
        for (int j = 0; j < 2; j++)
            if (column + 8 * n + 2 * int(threadIdx.x & 3) + j >= vocabulary) x[n][j] = -INFINITY;
}

// Stores the product of the row's target where this lane holds it: one lane of one slice of the whole vocabulary does.
DEVICE void find_target(int target, int column, const Slice& x, float scale, float* logit) {
    const int place = target - column - 2 * int(threadIdx.x & 3);
    if (place < 0 || place >= SLICE) return;
#pragma unroll
    for (int n = 0; n < SLICE / 8; n++)
#pragma unroll
        for (int j = 0; j < 2; j++)
            if (place == 8 * n + j) *logit = x[n][j] * scale;
}
