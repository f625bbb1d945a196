// Products of a warpgroup. A thread that arrives at one goes on only when all 128 have: the hardware lets warps drift
// apart here no further than kernels may rely on, since one thread that has waited may release an operand for all.
#include "hopper_emulation.hpp"
#include "machine.hpp"
#include "vector.hpp"

namespace emulator {

namespace {

// Reads element (row, column) of a K-major operand with the 128-byte swizzle.
struct Operand {
    Operand(Machine& machine, uint64_t descriptor, int rows) : shared(machine.shared) {
        start = uint32_t(descriptor & 0x3FFF) << 4;
        stride = uint32_t(descriptor >> 32 & 0x3FFF) << 4;
        if (descriptor >> 62 != 1) machine.fail("wgmma operand without the 128-byte swizzle");
        if (descriptor >> 49 & 7) machine.fail("wgmma operand with a base offset");
        if (start % 1024 > 128 - 32) machine.fail("wgmma operand that starts inside a swizzle pattern");
        machine.check_shared("wgmma", start - start % 1024, uint32_t(rows / 8 - 1) * stride + 1024, 1024);
    }
    float at(int row, int column) const {
        const uint32_t address = start + uint32_t(row / 8) * stride + uint32_t(row % 8 * 128 + column * 2);
        uint16_t bits;
        memcpy(&bits, shared + (address ^ (address >> 7 & 7) << 4), 2);
        return as<float>(uint32_t(bits) << 16);
    }
    const unsigned char* shared;
    uint32_t start, stride;
};

VECTORISED void compute(Machine& m, const Product64& product) {
    const Operand a(m, product.a, 64), b(m, product.b, product.columns);
    Row columns[256 / 8][16];
    for (int n = 0; n < product.columns; n++)
        for (int k = 0; k < 16; k++) columns[n / 8][k][n % 8] = b.at(n, k);
    for (int r = 0; r < 64; r++) {
        float row[16];
        for (int k = 0; k < 16; k++) row[k] = a.at(r, k);
        for (int n = 0; n < product.columns / 8; n++) {
            Row sum = {};
            for (int k = 0; k < 16; k++) sum += row[k] * columns[n][k];
            for (int t = 0; t < 4; t++) {
                float* d = product.d[r / 16 * 32 + r % 8 * 4 + t] + 4 * n + r % 16 / 8 * 2;
                d[0] = (product.accumulate ? d[0] : 0.f) + sum[2 * t];
                d[1] = (product.accumulate ? d[1] : 0.f) + sum[2 * t + 1];
            }
        }
    }
}

void complete(Machine& m, Warpgroup& group, uint32_t before) {
    size_t done = 0;
    while (done < group.issued.size() && group.issued[done].group < before) compute(m, group.issued[done++]);
    group.issued.erase(group.issued.begin(), group.issued.begin() + ptrdiff_t(done));
}

}  // namespace

void wgmma(float* d, int columns, uint64_t a, uint64_t b, bool accumulate) {
    Machine& m = *machine();
    if (columns % 8 || columns < 8 || columns > 256) m.fail("wgmma of " + std::to_string(columns) + " columns");
    if (!m.self().fenced) m.fail("wgmma without a wgmma.fence since the last wait");
    const uint32_t first = m.number() / 128 * 128;
    if (first + 128 > m.block_size.x) m.fail("wgmma outside a whole warpgroup");
    Warpgroup& group = m.hopper.warpgroups[first / 128];
    Product64& next = group.next;
    const Product64 mine{a, b, columns, accumulate, m.self().product_group, {}};
    if (group.arrived == 0) next = mine;
    if (next.a != a || next.b != b || next.columns != columns || next.accumulate != accumulate ||
        next.group != mine.group)
        m.fail("the threads of a warpgroup bring different operands to a wgmma");
    next.d[m.number() - first] = d;
    if (++group.arrived < 128) return m.sleep("wgmma of warpgroup", first / 128);
    group.arrived = 0;
    group.issued.push_back(next);
    if (!m.launch->policy.late_products()) complete(m, group, mine.group + 1);
    for (uint32_t i = first; i < first + 128; i++) m.wake(i);
    m.perhaps_switch();
}

void wgmma_fence() { machine()->self().fenced = true; }
void wgmma_commit() { machine()->self().product_group++; }

void wgmma_wait(int groups) {
    Machine& m = *machine();
    Thread& t = m.self();
    t.fenced = false;
    if (t.product_group <= uint32_t(groups)) return;
    complete(m, m.hopper.warpgroups[m.number() / 128], t.product_group - uint32_t(groups));
}

}  // namespace emulator
