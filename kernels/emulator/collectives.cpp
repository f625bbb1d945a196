// The warp collectives: each lane brings where its operands lie and where its results go, and the last to come computes
// for all 32. One rendezvous each, and the arithmetic runs over whole rows.
#include "machine.hpp"
#include "vector.hpp"

namespace emulator {

namespace {

struct Product {
    float* d;
    const uint32_t* a;
    uint32_t b0, b1;
};

float low(uint32_t pair) { return as<float>(pair << 16); }
float high(uint32_t pair) { return as<float>(pair & 0xFFFF0000u); }

// The k products of an element are summed in order in fp32, then added to d. The hardware sums them in one wide sum of
// unstated order: tests compare with a tolerance, never bit for bit with a device.
VECTORISED void product(const void* const* operands) {
    float a[16][16];
    Row b[16];
    for (int lane = 0; lane < 32; lane++) {
        const auto& from = *static_cast<const Product*>(operands[lane]);
        const int g = lane / 4, t = lane % 4 * 2;
        a[g][t] = low(from.a[0]), a[g][t + 1] = high(from.a[0]);
        a[g + 8][t] = low(from.a[1]), a[g + 8][t + 1] = high(from.a[1]);
        a[g][t + 8] = low(from.a[2]), a[g][t + 9] = high(from.a[2]);
        a[g + 8][t + 8] = low(from.a[3]), a[g + 8][t + 9] = high(from.a[3]);
        b[t][g] = low(from.b0), b[t + 1][g] = high(from.b0);
        b[t + 8][g] = low(from.b1), b[t + 9][g] = high(from.b1);
    }
    for (int r = 0; r < 16; r++) {
        Row sum = {};
        for (int k = 0; k < 16; k++) sum += a[r][k] * b[k];
        for (int t = 0; t < 4; t++) {
            float* d = static_cast<const Product*>(operands[r % 8 * 4 + t])->d + r / 8 * 2;
            d[0] += sum[2 * t], d[1] += sum[2 * t + 1];
        }
    }
}

struct Load {
    uint32_t* r;
    uint32_t row;
    bool transposed;
};

void load(const void* const* operands) {
    const unsigned char* shared = machine()->shared;
    for (int tile = 0; tile < 4; tile++) {
        uint16_t m[8][8];
        for (int r = 0; r < 8; r++) memcpy(m[r], shared + static_cast<const Load*>(operands[tile * 8 + r])->row, 16);
        for (int lane = 0; lane < 32; lane++) {
            const auto& to = *static_cast<const Load*>(operands[lane]);
            const int g = lane / 4, t = lane % 4 * 2;
            const uint16_t first = to.transposed ? m[t][g] : m[g][t];
            const uint16_t second = to.transposed ? m[t + 1][g] : m[g][t + 1];
            to.r[tile] = first | uint32_t(second) << 16;
        }
    }
}

struct Shuffle {
    uint32_t value, *to;
    int source;
};

void shuffle(const void* const* operands) {
    for (int lane = 0; lane < 32; lane++) {
        const auto& to = *static_cast<const Shuffle*>(operands[lane]);
        *to.to = static_cast<const Shuffle*>(operands[to.source])->value;
    }
}

constexpr Collective PRODUCT{"mma", product}, LOAD{"ldmatrix", load}, SHUFFLE{"shuffle", shuffle},
    WARP{"__syncwarp", [](const void* const*) {}};

}  // namespace

void matrix_product(float* d, const uint32_t* a, uint32_t b0, uint32_t b1) {
    const Product operands{d, a, b0, b1};
    machine()->meet(PRODUCT, &operands);
}

void load_matrix(uint32_t* r, uint32_t row, bool transposed) {
    Machine& m = *machine();
    m.check_shared("ldmatrix", row, 16, 16);
    const Load operands{r, row, transposed};
    m.meet(LOAD, &operands);
}

uint32_t shuffle_word(uint32_t value, int source) {
    uint32_t result = 0;
    const Shuffle operands{value, &result, source & 31};
    machine()->meet(SHUFFLE, &operands);
    return result;
}

uint32_t shuffle_word_xor(uint32_t value, int mask) {
    return shuffle_word(value, int(thread_index().x % 32) ^ mask);
}

void warp_barrier() { machine()->meet(WARP, nullptr); }

}  // namespace emulator
