// The LM head without logits: for each row and part of the vocabulary, the largest logit, the sum of 2^(logit -
// largest), and the target's logit. Logits are log2(e) · rstd · operand weightᵀ and never leave the registers.
//
// Tile 128 x 128 of [T, V], 128 threads; grid (ceil(T/128), splits): a block keeps its rows and goes through its
// split of the vocabulary tile by tile, the ring running on across tiles. Blocks of one split run together and read
// the same weights at about the same time, from L2. The splits follow from V alone, so a row's bits do not depend on
// the batch. Shared memory 68,096 B: the ring, and 20 B a row. Two blocks an SM where 164 KiB allow it, one's
// exponentials under the other's product.
//
// Floors for SmolLM2-135M (C = 576, V = 49,152) on an H100 at 798 TFLOP/s and 3.0 TB/s, by arithmetic, a token: 56.6
// MFLOP, 71 ns; 1,192 B read and 12 B a split written, 0.5 ns. The product bounds it, then 49,152 exponentials: 3,072
// cycles of an SM's 16 a cycle against 13,824 of the product. See qkv.cu for mma.sync there.
#include "tile.cuh"

// What the block knows of each of its rows, behind the ring.
struct HeadShared {
    float scale[Tile::BM];  // the norm's, times log2(e)
    int target[Tile::BM];
    float logit[Tile::BM];               // the target's; 0 while it is not met
    float max[Tile::BM], sum[Tile::BM];  // of the right warps' columns
};

struct HeadLaunch : Tile {
    static constexpr int SHARED_BYTES = RING_BYTES + int(sizeof(HeadShared));
};

DEVICE void head_body(const Head& p) {
    SMEM_DYNAMIC(shared);
    HeadShared& s = *reinterpret_cast<HeadShared*>(shared + Tile::RING_BYTES);
    const int row0 = int(blockIdx.x) * Tile::BM, split = int(blockIdx.y), own = row0 + int(threadIdx.x);
    const int first = split * p.split_columns, end = min(p.vocabulary, first + p.split_columns);
    const Product product{p.operand, p.weight, p.rows, p.inner, end, row0, first, ceil_div(end - first, Tile::BN)};
    Feed feed(product, shared);
    s.scale[threadIdx.x] = LOG2E * scale_of_row(p, own);
    s.target[threadIdx.x] = own < p.rows ? int(p.targets[own]) : -1;
    s.logit[threadIdx.x] = 0.f;

    Likelihood known[Accumulators::ROWS];
    multiply_tiles(product, feed, [&](int column, Accumulators& sums) {
        sums.each_row([&](int index, Slice& x) {
            const int row = Accumulators::row_of(index);
            if (column + SLICE > p.vocabulary) mask_past(p.vocabulary, column, x);
            find_target(s.target[row], column, x, s.scale[row], &s.logit[row]);
            known[index].add(s.scale[row], x);
        });
    });

    const bool left = Accumulators::warp_column() == 0, writes = threadIdx.x % 4 == 0;
#pragma unroll
    for (int index = 0; index < Accumulators::ROWS; index++) {
        const int row = Accumulators::row_of(index);
        known[index].merge_quad();
        if (!left && writes) s.max[row] = known[index].max, s.sum[row] = known[index].sum;
    }
    __syncthreads();
#pragma unroll
    for (int index = 0; index < Accumulators::ROWS; index++) {
        const int row = Accumulators::row_of(index);
        if (!left || !writes || row0 + row >= p.rows) continue;
        known[index].merge(s.max[row], s.sum[row]);
        p.partial[size_t(row0 + row) * p.splits + split] = Partial{known[index].max, known[index].sum, s.logit[row]};
    }
}

KERNEL(head, Head, HeadLaunch, head_body)
