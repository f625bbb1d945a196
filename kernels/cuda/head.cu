// LM head
#include "tile.cuh"

struct HeadShared {
    float scale[Tile::BM];   // the norm's, times log2(e)
    int target[Tile::BM];
    float logit[Tile::BM];   // the target's
    float max[Tile::BM], sum[Tile::BM];  // of the right half's columns
};

struct HeadLaunch : Tile {
    static constexpr int SHARED_BYTES = RING_BYTES + int(sizeof(HeadShared));
};

DEVICE void head_body(const Head& p) {
    SMEM_DYNAMIC(shared);
    HeadShared& s = *reinterpret_cast<HeadShared*>(shared + Tile::RING_BYTES);
    const int row0 = int(blockIdx.x) * Tile::BM, split = int(blockIdx.y), own = row0 + int(threadIdx.x);
    norm_scales(s.scale, p.squares, row0, p.rows, p.inner, p.channels, p.norm_epsilon);
    s.scale[threadIdx.x] *= LOG2E;
    s.target[threadIdx.x] = own < p.rows ? int(p.targets[own]) : -1;
    s.logit[threadIdx.x] = 0.f;

    const int first = split * p.split_columns, end = min(p.vocabulary, first + p.split_columns);
    const Product product{p.operand, p.weight, p.rows, p.inner, end, row0, first, ceil_div(end - first, Tile::BN)};
    Likelihood known[Accumulators::ROWS];
    multiply_tiles(product, shared, [&](int column, Accumulators& sums) {
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
