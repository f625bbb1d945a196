// Products of a warpgroup, each warp for its own 16 rows of 64. Warps meet nowhere here, and a warp that has waited
// knows of its own rows alone, as PTX says: a kernel that lets one warp speak for four reads or frees an operand too
// soon.
#include "hopper_emulation.hpp"
#include "machine.hpp"
#include "vector.hpp"

namespace emulator {

namespace {

// A K-major operand with the 128-byte swizzle, 16 columns of it.
struct Operand {
    Operand(Machine& machine, uint64_t descriptor, int rows) : shared(machine.shared) {
        start = uint32_t(descriptor & 0x3FFF) << 4;
        stride = uint32_t(descriptor >> 32 & 0x3FFF) << 4;
        if (descriptor >> 62 != 1) machine.fail("wgmma operand without the 128-byte swizzle");
        if (descriptor >> 49 & 7) machine.fail("wgmma operand with a base offset");
        if (start % 1024 > 128 - 32) machine.fail("wgmma operand that starts inside a swizzle pattern");
        machine.check_shared("wgmma", start - start % 1024, uint32_t(rows / 8 - 1) * stride + 1024, 1024);
    }
    void row(int number, float (&values)[16]) const {
        for (int half = 0; half < 2; half++) {
            const uint32_t at = start + uint32_t(number / 8) * stride + uint32_t(number % 8 * 128 + half * 16);
            uint16_t bits[8];
            memcpy(bits, shared + (at ^ (at >> 7 & 7) << 4), 16);
            for (int k = 0; k < 8; k++) values[half * 8 + k] = as<float>(uint32_t(bits[k]) << 16);
        }
    }
    const unsigned char* shared;
    uint32_t start, stride;
};

VECTORISED void compute(Machine& m, const WarpProduct& product, int warp) {
    const Operand a(m, product.a, 64), b(m, product.b, product.columns);
    Row columns[256 / 8][16];
    float values[16];
    for (int n = 0; n < product.columns; n++) {
        b.row(n, values);
        for (int k = 0; k < 16; k++) columns[n / 8][k][n % 8] = values[k];
    }
    for (int r = 0; r < 16; r++) {
        a.row(warp * 16 + r, values);
        for (int n = 0; n < product.columns / 8; n++) {
            Row sum = {};
            for (int k = 0; k < 16; k++) sum += values[k] * columns[n][k];
            for (int t = 0; t < 4; t++) {
                float* d = product.d[r % 8 * 4 + t] + 4 * n + r / 8 * 2;
                d[0] = (product.accumulate ? d[0] : 0.f) + sum[2 * t];
                d[1] = (product.accumulate ? d[1] : 0.f) + sum[2 * t + 1];
            }
        }
    }
}

// Does this warp's products of groups before `group`, in order.
void complete(Machine& m, uint32_t group) {
    auto& issued = m.hopper.products[m.number() / 32];
    size_t done = 0;
    while (done < issued.size() && issued[done].group < group) compute(m, issued[done++], int(m.number() / 32 % 4));
    issued.erase(issued.begin(), issued.begin() + ptrdiff_t(done));
}

// What each lane brings to a wgmma.
struct Issue {
    float* d;
    WarpProduct product;
};

void issue(const void* const* operands) {
    Machine& m = *machine();
    WarpProduct product = static_cast<const Issue*>(operands[0])->product;
    for (int lane = 0; lane < 32; lane++) {
        const Issue& own = *static_cast<const Issue*>(operands[lane]);
        const WarpProduct& p = own.product;
        if (p.a != product.a || p.b != product.b || p.columns != product.columns ||
            p.accumulate != product.accumulate || p.group != product.group)
            m.fail("the lanes of a warp bring different operands to a wgmma");
        product.d[lane] = own.d;
    }
    uint64_t& history = m.hopper.histories[m.number() / 32];
    history = (history ^ product.a ^ product.b << 1 ^ uint64_t(product.columns)) * 0x9E3779B97F4A7C15ull + 1;
    m.hopper.products[m.number() / 32].push_back(product);
    if (!m.launch->policy.late_products()) complete(m, product.group + 1);
}

void wait(const void* const* operands) {
    complete(*machine(), *static_cast<const uint32_t*>(operands[0]));
}

constexpr Collective WGMMA{"wgmma", issue}, WAIT{"wgmma.wait_group", wait};

}  // namespace

void wgmma(float* d, int columns, uint64_t a, uint64_t b, bool accumulate) {
    Machine& m = *machine();
    if (columns % 8 || columns < 8 || columns > 256) m.fail("wgmma of " + std::to_string(columns) + " columns");
    if (!m.self().fenced) m.fail("wgmma without a wgmma.fence since the last wait");
    if (m.number() / 128 * 128 + 128 > m.block_size.x) m.fail("wgmma outside a whole warpgroup");
    const Issue operands{d, {a, b, columns, accumulate, m.self().product_group, {}}};
    m.meet(WGMMA, &operands);
}

void wgmma_fence() { machine()->self().fenced = true; }
void wgmma_commit() { machine()->self().product_group++; }

void wgmma_wait(int groups) {
    Machine& m = *machine();
    Thread& t = m.self();
    t.fenced = false;
    const uint32_t before = t.product_group - uint32_t(min(groups, int(t.product_group)));
    const auto& issued = m.hopper.products[m.number() / 32];
    if (!issued.empty() && issued.front().group < before) m.stand_back();
    m.meet(WAIT, &before);
}

}  // namespace emulator
