// Every line of PTX that needs sm_90a: mbarrier, the TMA, wgmma, setmaxnreg. As in ptx.cuh, each wrapper has a device
// body and the same meaning in C++ (kernels/emulator).
//
// One operand layout is used throughout, the K-major one with the 128-byte swizzle: a chunk is R rows of 64 columns of
// bf16, so a row is 128 bytes, and 16-byte piece p of row r lies at piece p ^ (r % 8). The TMA writes chunks so and
// wgmma reads them so; no bank conflict arises on either side. A chunk starts at a multiple of 1024 bytes.
//
// The tensor maps that a launch needs, all of bf16, two-dimensional, inner dimension the columns, element strides 1,
// CU_TENSOR_MAP_SWIZZLE_128B, no interleave, L2 promotion 256 B, out-of-range fill NONE (which means zeros):
//
//   operand_map  operand [rows, inner], box 64 x 128 rows
//   weight_map   weight [Np or Vp, inner], box 64 x 192 rows
//
// `inner` is a multiple of 64; the row pitch is 2 * inner bytes. Rows outside a map read as zeros, so neither Np nor Vp
// has to be a multiple of 192 here, and the operand's map may span a buffer of more rows than the batch has: what is
// computed of them is never stored. `split_columns` of head_sm90 is a multiple of 192; an even number of splits keeps
// both consumers busy. Grids are persistent: min(work, multiprocessors) blocks, where the work is tiles of 128 x 192, or
// for the head row tiles times pairs of splits. Head widths of qkv_sm90 are multiples of 16.
#pragma once
#include "ptx.cuh"
#ifdef EMULATED
#include "hopper_emulation.hpp"
#endif

// ---- mbarrier: a phase ends when its arrivals and the bytes that it expects have all come --------------------------

// Lies in shared memory and nowhere else.
struct Barrier {
    uint64_t word;
};

DEVICE void mbarrier_init(Barrier& barrier, int arrivals) {
#ifdef EMULATED
    emulator::mbarrier_init(smem_addr(&barrier), arrivals);
#else
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(smem_addr(&barrier)), "r"(arrivals) : "memory");
#endif
}

// Shows this thread's mbarrier_init to the TMA. A __syncthreads() must follow, for the other threads.
DEVICE void mbarrier_init_fence() {
#ifdef EMULATED
    emulator::mbarrier_init_fence();
#else
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
}

DEVICE void mbarrier_arrive(Barrier& barrier) {
#ifdef EMULATED
    emulator::mbarrier_arrive(smem_addr(&barrier), 0);
#else
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(smem_addr(&barrier)) : "memory");
#endif
}

// Arrives, and makes the phase wait for `bytes` of TMA copies as well.
DEVICE void mbarrier_arrive_expecting(Barrier& barrier, int bytes) {
#ifdef EMULATED
    emulator::mbarrier_arrive(smem_addr(&barrier), bytes);
#else
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(smem_addr(&barrier)), "r"(bytes)
                 : "memory");
#endif
}

// Returns when the phase of this parity is over; phases count from 0. On a fresh barrier parity 1 is over already.
DEVICE void mbarrier_wait(Barrier& barrier, uint32_t parity) {
#ifdef EMULATED
    emulator::mbarrier_wait(smem_addr(&barrier), parity);
#else
    uint32_t over;
    do {
        asm volatile("{\n"
                     ".reg .pred over;\n"
                     "mbarrier.try_wait.parity.shared::cta.b64 over, [%1], %2;\n"
                     "selp.u32 %0, 1, 0, over;\n"
                     "}"
                     : "=r"(over)
                     : "r"(smem_addr(&barrier)), "r"(parity)
                     : "memory");
    } while (!over);
#endif
}

// ---- TMA -----------------------------------------------------------------------------------------------------------

// Starts the copy of the map's box at (column, row) into `to`, swizzled; the box's bytes arrive at the barrier, all of
// them even where the box hangs over the tensor's edge and is filled with zeros. One thread calls it.
DEVICE void tma_load(void* to, const CUtensorMap& map, int column, int row, Barrier& barrier) {
#ifdef EMULATED
    emulator::tma_load(smem_addr(to), &map, column, row, smem_addr(&barrier));
#else
    asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes "
                 "[%0], [%1, {%3, %4}], [%2];" ::"r"(smem_addr(to)),
                 "l"(&map), "r"(smem_addr(&barrier)), "r"(column), "r"(row)
                 : "memory");
#endif
}

// Asks for `bytes` of global memory, both multiples of 16, to be brought to L2. It changes no result.
DEVICE void prefetch([[maybe_unused]] const void* from, [[maybe_unused]] int bytes) {
#ifndef EMULATED
    asm volatile("cp.async.bulk.prefetch.L2.global [%0], %1;" ::"l"(from), "r"(bytes) : "memory");
#endif
}

// ---- registers: what the producer gives up, the consumers take -----------------------------------------------------

template <int N> DEVICE void registers_shrink() {
#ifndef EMULATED
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(N));
#endif
}

template <int N> DEVICE void registers_grow() {
#ifndef EMULATED
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(N));
#endif
}

// ---- wgmma: all 128 threads of a warpgroup -------------------------------------------------------------------------

// What wgmma takes for the rows of a chunk that start at `chunk`, a multiple of 8 rows into it. Adding 2 * i moves by
// i * 16 columns.
DEVICE uint64_t wgmma_operand(const bf16* chunk) {
    constexpr uint64_t SWIZZLE_128 = 1ull << 62;
    constexpr uint64_t EIGHT_ROWS = 1024 / 16, UNUSED = 1;
    return (smem_addr(chunk) & 0x3FFFF) >> 4 | UNUSED << 16 | EIGHT_ROWS << 32 | SWIZZLE_128;
}

// Orders earlier accesses to the accumulators before the wgmma that follows.
DEVICE void wgmma_fence() {
#ifdef EMULATED
    emulator::wgmma_fence();
#else
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#endif
}

// Closes the group of products since the last commit.
DEVICE void wgmma_commit() {
#ifdef EMULATED
    emulator::wgmma_commit();
#else
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
#endif
}

// Returns when all but the last `N` groups are done: their operands may be overwritten.
template <int N> DEVICE void wgmma_wait() {
#ifdef EMULATED
    emulator::wgmma_wait(N);
#else
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(N) : "memory");
#endif
}

// Keeps the compiler from reading accumulators above this line, where a wait has made them valid.
template <int N> DEVICE void wgmma_settle([[maybe_unused]] float (&d)[N]) {
#ifndef EMULATED
#pragma unroll
    for (int i = 0; i < N; i++) asm volatile("" : "+f"(d[i])::"memory");
#endif
}

// The same number, but nothing that is computed or loaded with it can move above this line.
DEVICE int pinned(int x) {
#ifndef EMULATED
    asm volatile("" : "+r"(x)::"memory");
#endif
    return x;
}

#define WGMMA_8(d, i)                                                                                                  \
    "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), "+f"(d[i + 4]), "+f"(d[i + 5]), "+f"(d[i + 6]),        \
        "+f"(d[i + 7])
#define WGMMA_32(d, i) WGMMA_8(d, i), WGMMA_8(d, i + 8), WGMMA_8(d, i + 16), WGMMA_8(d, i + 24)

// Starts d[64x192] += a[64x16] b[192x16]ᵀ, or d = … where `accumulate` is false. With w the warp within the warpgroup,
// g = lane / 4 and t = lane % 4, d[4n + 2i + j] stands at row 16w + g + 8i, column 8n + 2t + j.
DEVICE void wgmma_64x192x16(float (&d)[96], uint64_t a, uint64_t b, bool accumulate) {
#ifdef EMULATED
    emulator::wgmma(d, 192, a, b, accumulate);
#else
    asm volatile("{\n"
                 ".reg .pred accumulate;\n"
                 "setp.ne.b32 accumulate, %98, 0;\n"
                 "wgmma.mma_async.sync.aligned.m64n192k16.f32.bf16.bf16 "
                 "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
                 "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
                 "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
                 "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63, "
                 "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, "
                 "%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95}, "
                 "%96, %97, accumulate, 1, 1, 0, 0;\n"
                 "}"
                 : WGMMA_32(d, 0), WGMMA_32(d, 32), WGMMA_32(d, 64)
                 : "l"(a), "l"(b), "r"(int(accumulate)));
#endif
}
