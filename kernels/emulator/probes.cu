// Small kernels that are right or wrong in one way each: the emulator's own tests run them.
#include "ptx.cuh"

struct Probe {
    float* out;
    const bf16* in;
    int mode;
};

struct ProbeLaunch {
    static constexpr int THREADS = 128, SHARED_BYTES = 8200, MIN_BLOCKS = 1, BM = 1, BN = 1;
};

// Modes in the order of the tests: what each thread does that it must not.
enum Mistake {
    NONE,
    BARRIER_MISSED,
    LANE_MISSED,
    LANES_AT_DIFFERENT_COLLECTIVES,
    PAST_THE_END,
    BEFORE_THE_START,
    SHARED_JUST_PAST,
    SHARED_FAR_PAST,
    SHARED_BEFORE,
    LDMATRIX_PAST,
    LDMATRIX_MISALIGNED,
    COPY_MISALIGNED,
    COPY_PAST_THE_END,
    STACK,
    DIVISION,
};

DEVICE int descend(volatile const char* from, int depth) {
    volatile char frame[1024];
    frame[0] = char(depth);
    return depth ? frame[0] + from[0] : 0;
}

static int overflow(volatile const char* from, int depth) {
    volatile char frame[1024];
    frame[0] = char(depth);
    return depth ? overflow(frame, depth - 1) + frame[0] + from[0] : descend(from, 1);
}

DEVICE void mistakes(const Probe& p) {
    SMEM_DYNAMIC(shared);
    float* floats = reinterpret_cast<float*>(shared);
    const int t = int(threadIdx.x);
    uint32_t r[4];
    switch (p.mode) {
    case NONE: break;
    case BARRIER_MISSED:
        if (t < 96) __syncthreads();
        break;
    case LANE_MISSED:
        if (t != 37) __syncwarp();
        break;
    case LANES_AT_DIFFERENT_COLLECTIVES:
        if (t % 32 < 31) __syncwarp();
        else shuffle_xor(t, 1);
        break;
    case PAST_THE_END: p.out[128] = 1; break;
    case BEFORE_THE_START: p.out[-2048] = 1; break;
    case SHARED_JUST_PAST: floats[2050] = 1; break;
    case SHARED_FAR_PAST: floats[4096] = 1; break;
    case SHARED_BEFORE: floats[-1] = 1; break;
    case LDMATRIX_PAST: ldmatrix_x4(r, smem_addr(shared + 8192)); break;
    case LDMATRIX_MISALIGNED: ldmatrix_x4(r, smem_addr(shared + 8)); break;
    case COPY_MISALIGNED: cp_async16(smem_addr(shared), p.out + 1); break;
    case COPY_PAST_THE_END: cp_async16(smem_addr(shared), p.out + 128); break;
    case STACK: p.out[t] = float(overflow(nullptr, 200)); break;
    case DIVISION: p.out[t] = float(7 / (t - 8)); break;
    }
    if (p.mode == NONE) p.out[t] = float(t);
}

// Two copies in two groups; waits for the first alone, then reads both.
DEVICE void copies(const Probe& p) {
    SMEM_DYNAMIC(shared);
    const bf16* tile = reinterpret_cast<const bf16*>(shared);
    const int t = int(threadIdx.x);
    cp_async16(smem_addr(tile + t * 8), p.in);
    cp_commit();
    cp_async16(smem_addr(tile + (128 + t) * 8), p.in, p.mode == 0);
    cp_commit();
    cp_wait<1>();
    p.out[t] = to_float(tile[t * 8]);
    p.out[128 + t] = to_float(tile[(128 + t) * 8]);
}

// A value passed from warp to warp through shared memory, with the barrier or, in mode 1, without it.
DEVICE void handover(const Probe& p) {
    SMEM_DYNAMIC(shared);
    float* floats = reinterpret_cast<float*>(shared);
    const int t = int(threadIdx.x);
    float sum = 0;
    for (int round = 0; round < 8; round++) {
        floats[t] = float(round * 128 + t);
        if (p.mode == 0) __syncthreads();
        __syncwarp();
        sum += floats[127 - t];
        __syncthreads();
    }
    p.out[t] = sum;
}

// out = a bᵀ for a [16, 16] and b [8, 16], through ldmatrix and, in mode 1, b stored transposed and ldmatrix_trans.
DEVICE void product(const Probe& p) {
    SMEM_DYNAMIC(shared);
    bf16* tile = reinterpret_cast<bf16*>(shared);
    const int t = int(threadIdx.x), lane = t % 32, g = lane / 4, c = lane % 4 * 2;
    for (int i = t; i < 512; i += 128) tile[i] = p.in[i];
    __syncthreads();
    uint32_t a[4], b[4];
    ldmatrix_x4(a, smem_addr(tile + (lane % 16) * 16 + lane / 16 * 8));
    const bf16* rows = tile + 256;
    if (p.mode == 0) ldmatrix_x4(b, smem_addr(rows + lane % 8 * 16 + lane / 8 % 2 * 8));
    else ldmatrix_x4_trans(b, smem_addr(rows + lane % 16 * 8));
    float d[4] = {};
    mma_16816(d, a, b[0], b[1]);
    float* out = p.out + (blockIdx.x * 4 + t / 32) * 128;
    out[g * 8 + c] = d[0], out[g * 8 + c + 1] = d[1];
    out[(g + 8) * 8 + c] = d[2], out[(g + 8) * 8 + c + 1] = d[3];
}

KERNEL(probe_mistakes, Probe, ProbeLaunch, mistakes)
KERNEL(probe_copies, Probe, ProbeLaunch, copies)
KERNEL(probe_handover, Probe, ProbeLaunch, handover)
KERNEL(probe_product, Probe, ProbeLaunch, product)
