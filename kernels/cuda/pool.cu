// embeddings[d] = the mean of document d's rows of the stream, or its first row, scaled to length 1 if asked for.
//
// A block is a document, of rows of at most 1024 columns: `documents` blocks of 256 threads. Warp i adds rows i, i + 8,
// ... in order, then the first adds the eight sums in order: the bits depend on the document's rows alone. A document
// without rows gives zeros. checks[d] tells whoever fetches no embeddings whether they are numbers. 28 KiB of shared memory, 64 registers (NVRTC 13.0): four blocks an SM.
//
// Floor for MiniLM-L6 (C = 384) on an H100 at 3.0 TB/s (arithmetic): 1,536 B read a token, 0.51 ns. No product.
#include "row.cuh"

struct PoolLaunch {
    static constexpr int THREADS = 256, WARPS = THREADS / 32, MIN_BLOCKS = 4;
    static constexpr int SHARED_BYTES = (WARPS - 1) * Row::WIDTH_MAX * 4;
    static constexpr int BM = 1, BN = 1;  // documents that a block takes
};

// The shortest vector that is scaled to length 1, as PyTorch's `normalize` has it.
constexpr float LENGTH_MIN = 1e-12f;

DEVICE void divide(Row& row, float divisor, int width) {
    row.each(width, [&](float(&x)[4], int) { x[0] /= divisor, x[1] /= divisor, x[2] /= divisor, x[3] /= divisor; });
}

DEVICE void pool_body(const Pool& p) {
    SMEM_DYNAMIC(shared);
    float* const sums = reinterpret_cast<float*>(shared);  // of all warps but the first
    const int warp = int(threadIdx.x) / 32;
    const uint32_t first = p.bounds[blockIdx.x], last = p.bounds[blockIdx.x + 1];
    const uint32_t end = p.first_token ? min(first + 1, last) : last;
    Row row;
    for (uint32_t t = first + uint32_t(warp); t < end; t += PoolLaunch::WARPS)
        row.add(p.stream + size_t(t) * p.width, p.width);
    if (warp > 0) row.store(sums + (warp - 1) * p.width, p.width);
    __syncthreads();
    if (warp > 0) return;
    for (int other = 0; other < PoolLaunch::WARPS - 1; other++) row.add(sums + other * p.width, p.width);
    divide(row, float(max(end - first, 1u)), p.width);
    if (p.normalize) {
        const float squares = row.sum(p.channels, [](float x) { return x * x; });
        divide(row, fmaxf(sqrtf(squares), LENGTH_MIN), p.width);
    }
    const float check = row.sum(p.channels, [](float x) { return x - x; });
    if (threadIdx.x == 0) p.checks[blockIdx.x] = check;
    float* const to = p.embeddings + size_t(blockIdx.x) * p.channels;
    row.each(p.channels, [&](float(&x)[4], int column) {
#pragma unroll
        for (int j = 0; j < 4; j++)
            if (column + j < p.channels) to[column + j] = x[j];
    });
}

KERNEL(pool, Pool, PoolLaunch, pool_body)
