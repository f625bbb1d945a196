// What happens to the accumulators of the encoder's projections: a bias, then GELU, or the sum with the stream, or
// neither. Policies as those of epilogue.cuh, shared by both versions of each product.
#pragma once
#include "epilogue.cuh"

// A slice's biases in the columns of this lane; `bias` is the slice's first column.
class Bias {
    float2 pairs[SLICE / 8];

  public:
    DEVICE explicit Bias(const float* bias) {
        const float2* const from = reinterpret_cast<const float2*>(bias) + int(threadIdx.x & 3);
#pragma unroll
        for (int n = 0; n < SLICE / 8; n++) pairs[n] = from[4 * n];
    }

    DEVICE float2 operator[](int n) const { return pairs[n]; }
};

// The same with 2 registers instead of 16: the warp's lanes hold a pair each, and ask each other for it.
class SharedBias {
    float2 pair;

  public:
    DEVICE explicit SharedBias(const float* bias)
        : pair(reinterpret_cast<const float2*>(bias)[int(threadIdx.x % 32)]) {}

    DEVICE float2 operator[](int n) const {
        const int holder = 4 * n + int(threadIdx.x & 3);
        return make_float2(shuffle_from(pair.x, holder), shuffle_from(pair.y, holder));
    }
};

template <class Biases> DEVICE void add_bias(const Biases& bias, Slice& x) {
#pragma unroll
    for (int n = 0; n < SLICE / 8; n++) {
        const float2 pair = bias[n];
        x[n][0] += pair.x, x[n][1] += pair.y;
    }
}

// GELU in its exact form (arXiv 1606.08415): z·Φ(z) = z/2·(1 + erf(z/√2)).
//
// With a = |z|, z·Φ(z) is max(z, 0) - a·Φ(-a), and log2 Φ(-a) is so nearly a parabola that a polynomial of degree 7,
// fitted for the least largest error, gives Φ(-a) to 2^-17 of its value for a up to 6, with fp32's rounding and the
// hardware's exp2 counted. So the result is within 2^-17 of its value from z = -6 on, and within 6e-7 for every z; bf16
// then rounds it by 2^-8. Beyond 6 the polynomial goes on falling, and a·Φ(-a) with it. One special function and ten
// instructions a value: erf by a rational function takes twice that, which next to a product 384 deep would show.
DEVICE float gelu(float z) {
    const float a = fabsf(z);
    float log2_tail = -1.8348144976698677e-06f;
    log2_tail = fmaf(log2_tail, a, 6.159835174912587e-05f);
    log2_tail = fmaf(log2_tail, a, -0.0009305253042839468f);
    log2_tail = fmaf(log2_tail, a, 0.008507892489433289f);
    log2_tail = fmaf(log2_tail, a, -0.05396007373929024f);
    log2_tail = fmaf(log2_tail, a, -0.4584643840789795f);
    log2_tail = fmaf(log2_tail, a, -1.1512510776519775f);
    log2_tail = fmaf(log2_tail, a, -0.9999952912330627f);
    return fmaf(-a, exp2_fast(log2_tail), fmaxf(z, 0.f));
}

// linear: with the bias, as bf16.
struct WithBias {
    const Linear& p;
    int column;
    Bias bias;

    DEVICE WithBias(const Linear& linear, int column) : p(linear), column(column), bias(linear.bias + column) {}

    DEVICE void operator()(int row, Slice& x) const {
        add_bias(bias, x);
        store_slice(p.out + size_t(row) * p.ld_out + column, x, row < p.rows);
    }
};

// linear_gelu: the same through GELU.
struct WithGelu {
    const Linear& p;
    int column;
    Bias bias;

    DEVICE WithGelu(const Linear& linear, int column) : p(linear), column(column), bias(linear.bias + column) {}

    DEVICE void operator()(int row, Slice& x) const {
        add_bias(bias, x);
#pragma unroll
        for (auto& pair : x) pair[0] = gelu(pair[0]), pair[1] = gelu(pair[1]);
        store_slice(p.out + size_t(row) * p.ld_out + column, x, row < p.rows);
    }
};

// linear_add: adds product and bias to the stream in fp32. No copy is written: the stream is normed before it is
// multiplied again.
template <class Biases> struct AddWithBias {
    const LinearAdd& p;
    int column;
    Biases bias;
    using Before = float2[SLICE / 8];

    DEVICE AddWithBias(const LinearAdd& linear, int column) : p(linear), column(column), bias(linear.bias + column) {}

    DEVICE float2* stream(int row) const {
        return reinterpret_cast<float2*>(p.stream + size_t(row) * p.width + column + 2 * int(threadIdx.x & 3));
    }

    DEVICE void load(int row, Before& before) const {
#pragma unroll
        for (int n = 0; n < SLICE / 8; n++) before[n] = row < p.rows ? stream(row)[4 * n] : make_float2(0.f, 0.f);
    }

    DEVICE void operator()(int row, const Before& before, Slice& x) const {
        add_bias(bias, x);
#pragma unroll
        for (int n = 0; n < SLICE / 8; n++)
            if (row < p.rows) stream(row)[4 * n] = make_float2(x[n][0] + before[n].x, x[n][1] + before[n].y);
    }
};
