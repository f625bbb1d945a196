// Every line of PTX that the sm_80 kernels use. Each wrapper has a device body and, for tests on a machine without a
// GPU, the same meaning in C++ (kernels/emulator). Kernels contain no PTX and no CUDA header: NVRTC on a user's machine
// comes without them, so fixed-width integers and bf16 are our own.
//
// A kernel ends with one line, KERNEL(name, Params, Launch, body): it defines the `extern "C" __global__` function, and
// in the emulator its entry in the table of kernels. `Launch` is a struct of `static constexpr int`: THREADS,
// SHARED_BYTES, MIN_BLOCKS (of an SM), BM and BN (the tile; 1 where it means nothing).
//
// A C++ main tries a kernel so:
//     #include "embed.cu"                                // or several of them
//     #include "launch.hpp"
//     int main() {
//         auto* ids = emulator::alloc<uint32_t>(rows);   // ends at a guard page, filled with NaN
//         emulator::policy(0, 0);                        // landing: emulator::EARLY, LATE, …; seed of the schedule
//         emulator::launch("embed", {blocks, 1, 1}, Embed{ids, ...});   // prints the report and exits when it fails
//     }
//     g++ -std=c++17 -O2 -ffp-contract=off -Wall -Wextra -Wno-unknown-pragmas -I kernels/cuda -I kernels/emulator
//         main.cpp kernels/emulator/*.cpp -pthread
#pragma once

#ifdef __CUDACC_RTC__
typedef unsigned char uint8_t;
typedef unsigned short uint16_t;
typedef unsigned int uint32_t;
typedef unsigned long long uint64_t;
typedef unsigned long long uintptr_t;
typedef signed char int8_t;
typedef short int16_t;
typedef int int32_t;
typedef long long int64_t;
#define INFINITY __int_as_float(0x7F800000)
#define DEVICE __device__ __forceinline__
#define SMEM_DYNAMIC(name) extern __shared__ __align__(1024) unsigned char name[]
#else
#include "emulation.hpp"
#define EMULATED 1
#define DEVICE inline
#define SMEM_DYNAMIC(name) unsigned char* const name = emulator::shared_memory()
#endif

// Sixteen bits of a brain float; arithmetic happens in fp32 only.
struct bf16 {
    uint16_t bits;
};

// What a launch passes for a tensor that the TMA reads: opaque, and read where it lies in the parameters.
struct alignas(64) CUtensorMap {
    unsigned long long opaque[16];
};

#ifdef EMULATED
#define KERNEL(name, Params, Launch, ...)                                                                              \
    static const emulator::Registration name##_registration{                                                           \
        #name, emulator::facts<Launch>(1, sizeof(Params)),                                                             \
        [](void** p) { __VA_ARGS__(*static_cast<const Params*>(p[0])); }};
#define KERNEL_MAPPED(name, Params, Launch, ...)                                                                       \
    static const emulator::Registration name##_registration{                                                           \
        #name, emulator::facts<Launch>(3, sizeof(Params)), [](void** p) {                                              \
            __VA_ARGS__(*static_cast<const Params*>(p[0]), *static_cast<const CUtensorMap*>(p[1]),                     \
                        *static_cast<const CUtensorMap*>(p[2]));                                                       \
        }};
#else
#define KERNEL(name, Params, Launch, ...)                                                                              \
    extern "C" __global__ void __launch_bounds__(Launch::THREADS, Launch::MIN_BLOCKS)                                  \
        name(const __grid_constant__ Params parameters) {                                                              \
        __VA_ARGS__(parameters);                                                                                       \
    }
// The same with the tensor maps of the operand and of the weight.
#define KERNEL_MAPPED(name, Params, Launch, ...)                                                                       \
    extern "C" __global__ void __launch_bounds__(Launch::THREADS, Launch::MIN_BLOCKS)                                  \
        name(const __grid_constant__ Params parameters, const __grid_constant__ CUtensorMap operand_map,               \
             const __grid_constant__ CUtensorMap weight_map) {                                                         \
        __VA_ARGS__(parameters, operand_map, weight_map);                                                              \
    }
#endif

DEVICE constexpr int ceil_div(int a, int b) { return (a + b - 1) / b; }

// ---- numbers -------------------------------------------------------------------------------------------------------

DEVICE float as_float(uint32_t bits) {
#ifdef EMULATED
    return emulator::as<float>(bits);
#else
    return __uint_as_float(bits);
#endif
}

DEVICE float to_float(bf16 x) { return as_float(uint32_t(x.bits) << 16); }

// The two halves of a word of bf16: the low one comes first in memory.
DEVICE float unpack_low(uint32_t pair) { return as_float(pair << 16); }
DEVICE float unpack_high(uint32_t pair) { return as_float(pair & 0xFFFF0000u); }

// Rounds to nearest even; every NaN becomes 0x7FFF, as the hardware's conversion does.
DEVICE uint32_t pack_bf16(float low, float high) {
#ifdef EMULATED
    return emulator::round_bf16(low) | uint32_t(emulator::round_bf16(high)) << 16;
#else
    uint32_t pair;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
    return pair;
#endif
}

DEVICE bf16 to_bf16(float x) { return bf16{uint16_t(pack_bf16(x, 0.f))}; }

// 2^x within 2 ulp; exactly 0 at -inf.
DEVICE float exp2_fast(float x) {
#ifdef EMULATED
    return exp2f(x);
#else
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
#endif
}

// log2(x), absolute error about 2^-22 near 1.
DEVICE float log2_fast(float x) {
#ifdef EMULATED
    return log2f(x);
#else
    float y;
    asm("lg2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
#endif
}

// 1/sqrt(x) within 2 ulp.
DEVICE float rsqrt_fast(float x) {
#ifdef EMULATED
    return 1.f / sqrtf(x);
#else
    float y;
    asm("rsqrt.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
#endif
}

// 1/x within 1 ulp.
DEVICE float reciprocal_fast(float x) {
#ifdef EMULATED
    return 1.f / x;
#else
    float y;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
#endif
}

// a·b + c rounded once, subnormal numbers kept, whatever the compiler is told of floats.
DEVICE float fused(float a, float b, float c) {
#ifdef EMULATED
    return fmaf(a, b, c);
#else
    float d;
    asm("fma.rn.f32 %0, %1, %2, %3;" : "=f"(d) : "f"(a), "f"(b), "f"(c));
    return d;
#endif
}

// x rounded down, the nearest integer there is where that is too large, and 0 for a NaN.
DEVICE int floor_to_int(float x) {
#ifdef EMULATED
    return emulator::floor_to_int(x);
#else
    int n;
    asm("cvt.rmi.s32.f32 %0, %1;" : "=r"(n) : "f"(x));
    return n;
#endif
}

// ---- shared memory and asynchronous copies -------------------------------------------------------------------------

// The 32-bit address that the instructions below take.
DEVICE uint32_t smem_addr(const void* p) {
#ifdef EMULATED
    return emulator::shared_address(p);
#else
    return uint32_t(__cvta_generic_to_shared(p));
#endif
}

// Starts a copy of 16 bytes, global to shared, past L1; writes zeros and reads nothing when `valid` is false.
DEVICE void cp_async16(uint32_t to, const void* from, bool valid = true) {
#ifdef EMULATED
    emulator::copy_async(to, from, valid);
#else
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(valid ? 16 : 0) : "memory");
#endif
}

// Closes the group of this thread's copies since the last commit.
DEVICE void cp_commit() {
#ifdef EMULATED
    emulator::copy_commit();
#else
    asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

// Returns when all but the last `N` groups of this thread have landed. Other threads' copies need a barrier as well.
template <int N> DEVICE void cp_wait() {
#ifdef EMULATED
    emulator::copy_wait(N);
#else
    asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
#endif
}

// ---- warp collectives: all 32 lanes, always ------------------------------------------------------------------------

// Four 8x8 tiles of bf16. Lane 8i + r brings the address of row r of tile i; lane l gets columns 2(l%4), 2(l%4)+1 of
// row l/4 of each.
DEVICE void ldmatrix_x4(uint32_t (&r)[4], uint32_t row) {
#ifdef EMULATED
    emulator::load_matrix(r, row, false);
#else
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(row)
                 : "memory");
#endif
}

// The same, each tile transposed: lane l gets rows 2(l%4), 2(l%4)+1 of column l/4.
DEVICE void ldmatrix_x4_trans(uint32_t (&r)[4], uint32_t row) {
#ifdef EMULATED
    emulator::load_matrix(r, row, true);
#else
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(row)
                 : "memory");
#endif
}

// d[16x8] += a[16x16] b[16x8], bf16 in, fp32 out. With g = lane / 4 and t = lane % 4:
//   a: (g, 2t..), (g+8, 2t..), (g, 2t+8..), (g+8, 2t+8..);  b: (2t.., g), (2t+8.., g);
//   d: (g, 2t), (g, 2t+1), (g+8, 2t), (g+8, 2t+1).
DEVICE void mma_16816(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
#ifdef EMULATED
    emulator::matrix_product(d, a, b0, b1);
#else
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
                 "{%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#endif
}

// The value of lane `lane ^ mask`. T is float, int or uint32_t.
template <class T> DEVICE T shuffle_xor(T value, int mask) {
#ifdef EMULATED
    return emulator::shuffle_xor(value, mask);
#else
    return __shfl_xor_sync(0xFFFFFFFFu, value, mask);
#endif
}

// The value of lane `source`.
template <class T> DEVICE T shuffle_from(T value, int source) {
#ifdef EMULATED
    return emulator::shuffle_from(value, source);
#else
    return __shfl_sync(0xFFFFFFFFu, value, source);
#endif
}

// ---- barriers of part of a block; __syncthreads() is barrier 0 -----------------------------------------------------

// Waits until `threads` threads (whole warps) have come to barrier `id`, 1 to 15.
DEVICE void barrier_sync(int id, int threads) {
#ifdef EMULATED
    emulator::barrier(id, threads, true);
#else
    asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
#endif
}

// Counts this thread in at barrier `id` and goes on.
DEVICE void barrier_arrive(int id, int threads) {
#ifdef EMULATED
    emulator::barrier(id, threads, false);
#else
    asm volatile("bar.arrive %0, %1;" ::"r"(id), "r"(threads) : "memory");
#endif
}
