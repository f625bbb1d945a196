// A product through the TMA, an mbarrier and wgmma, right or wrong in one way each: the emulator's own tests run it.
#include "hopper_emulation.hpp"
#include "ptx.cuh"

struct HopperProbe {
    float* out;  // [64, 64]
    int mode;
};

struct HopperProbeLaunch {
    static constexpr int THREADS = 128, SHARED_BYTES = 1024 + 2 * 8192, MIN_BLOCKS = 1, BM = 64, BN = 64;
};

enum HopperMistake {
    NONE,
    NOT_INITIALISED,
    NOT_FENCED,
    MISALIGNED,
    TOO_MANY_BYTES,
    ARRIVES_TWICE,
    NO_WGMMA_FENCE,
    ENDS_TOO_SOON,
    WARPS_DIFFER,
    // These report nothing, but their results are wrong under some landing.
    BYTES_NOT_EXPECTED,
    WRONG_PARITY,
    OPERAND_OVERWRITTEN,
    PRODUCT_NOT_AWAITED,
};

DEVICE uint64_t descriptor(uint32_t chunk) { return chunk >> 4 | 64ull << 32 | 1ull << 62; }

// One thread brings both operands, 64 rows of 64 columns each.
DEVICE void bring(const HopperProbe& p, uint32_t barrier, uint32_t a, uint32_t b, const CUtensorMap& operand,
                  const CUtensorMap& weight) {
    if (p.mode != NOT_INITIALISED) emulator::mbarrier_init(barrier, 1);
    if (p.mode != NOT_FENCED) emulator::mbarrier_init_fence();
    const int bytes = p.mode == BYTES_NOT_EXPECTED ? 0 : p.mode == TOO_MANY_BYTES ? 16400 : 16384;
    emulator::mbarrier_arrive(barrier, bytes);
    if (p.mode == ARRIVES_TWICE) emulator::mbarrier_arrive(barrier, 0);
    emulator::tma_load(p.mode == MISALIGNED ? a + 512 : a, &operand, 0, 0, barrier);
    emulator::tma_load(b, &weight, 0, 0, barrier);
}

DEVICE void multiply(const HopperProbe& p, const CUtensorMap& operand, const CUtensorMap& weight) {
    SMEM_DYNAMIC(shared);
    const int t = int(threadIdx.x);
    const uint32_t barrier = smem_addr(shared), a = barrier + 1024, b = a + 8192;
    if (t == 0) bring(p, barrier, a, b, operand, weight);
    __syncthreads();
    if (p.mode == ENDS_TOO_SOON) return;
    emulator::mbarrier_wait(barrier, p.mode == WRONG_PARITY);

    float d[32];
    if (p.mode != NO_WGMMA_FENCE) emulator::wgmma_fence();
    const int products = p.mode == WARPS_DIFFER && t >= 96 ? 5 : 4;
    for (int k = 0; k < products; k++)
        emulator::wgmma(d, 64, descriptor(a) + uint64_t(k % 4) * 2, descriptor(b) + uint64_t(k % 4) * 2, k > 0);
    emulator::wgmma_commit();
    if (p.mode == OPERAND_OVERWRITTEN) reinterpret_cast<uint64_t*>(shared)[128 + t] = 0;
    if (p.mode != PRODUCT_NOT_AWAITED) emulator::wgmma_wait(0);
    for (int i = 0; i < 32; i++) {
        const int row = t / 32 * 16 + t % 32 / 4 + i / 2 % 2 * 8, column = i / 4 * 8 + t % 4 * 2 + i % 2;
        p.out[row * 64 + column] = d[i];
    }
    emulator::wgmma_wait(0);
}

KERNEL_MAPPED(probe_multiply, HopperProbe, HopperProbeLaunch, multiply)
