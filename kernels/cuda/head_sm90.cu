// head_sm90: for each row t and split s of the vocabulary, the largest logit, the sum of 2^(logit - largest) and the
// target's logit, logit = log2(e) · rstd_t · operand[t, :] · weightᵀ, as head.cu, with wgmma and the TMA. Logits never leave
// registers.
//
// Tile 128 x 192, 384 threads, 221.4 kB of shared memory, one block a multiprocessor, persistent grid. The rows stay in
// shared memory (K <= 576) while the vocabulary streams by; one consumer's log-sum-exp runs under the other's products.
// Each consumer has a split of its own, so the two never merge: a run is a row tile and a pair of splits, whose tiles
// alternate. Runs go over the row tiles first: blocks that run together read the same splits, so weights come from device
// memory once a wave and out of L2 after that.
// Limit: at SmolLM2 (K = 576, V = 49152) 56.6 MFLOP a token: on an H100 71 ns by the products at 798 TFLOP/s. A tile's 24,576
// exponentials take 1536 cycles of the special function units, under the other's 6912.
#include "walk_sm90.cuh"

class HeadWalk {
public:
    DEVICE explicit HeadWalk(const Head& p)
        : run_(blockIdx.x),
          row_tiles_(ceil_div(p.rows, TileSm90::BM)),
          runs_(row_tiles_ * ceil_div(p.splits, 2)),
          vocabulary_(p.vocabulary),
          split_columns_(p.split_columns) {}
    DEVICE bool more() const { return run_ < runs_; }
    DEVICE void next() { run_ += gridDim.x; }
    // Two splits' tiles. The second split is as long as the first or ends earlier: what lies past the end is masked.
    DEVICE int tiles() const {
        return 2 * ceil_div(min(split_columns_, vocabulary_ - split(0) * split_columns_), TileSm90::BN);
    }
    DEVICE int row() const { return run_ % row_tiles_ * TileSm90::BM; }
    DEVICE int column(int tile) const { return split(tile % 2) * split_columns_ + tile / 2 * TileSm90::BN; }
    DEVICE int split(int consumer) const { return run_ / row_tiles_ * 2 + consumer; }

private:
    int run_, row_tiles_, runs_, vocabulary_, split_columns_;
};

// What a thread knows of its four rows.
struct LogSumExp {
    const Head& p;
    RowScales scales;
    Likelihood likelihood[2][2];
    int target[2][2];
    float target_logit[2][2];

    DEVICE explicit LogSumExp(const Head& head) : p(head) {}

    DEVICE void begin(const HeadWalk& walk) {
        scales.read(p, walk.row());
#pragma unroll
        for (int m = 0; m < 2; m++)
#pragma unroll
            for (int i = 0; i < 2; i++) {
                const int row = row_of(walk.row(), m, i);
                scales.of[m][i] *= LOG2E;
                likelihood[m][i] = Likelihood{};
                target[m][i] = row < p.rows ? int(p.targets[row]) : 0;
                target_logit[m][i] = 0.f;
            }
    }

    DEVICE void store(const Accumulators& d, int, int column) {
        for_slices(d, column, p.vocabulary, [&](int m, int i, int at, Slice& x) {
            if (at + SLICE > p.vocabulary) mask_past(p.vocabulary, at, x);
            find_target(target[m][i], at, x, scales.of[m][i], &target_logit[m][i]);
            likelihood[m][i].add(scales.of[m][i], x);
        });
    }

    DEVICE void end(const HeadWalk& walk, int consumer) {
        const int split = walk.split(consumer);
#pragma unroll
        for (int m = 0; m < 2; m++)
#pragma unroll
            for (int i = 0; i < 2; i++) {
                const int row = row_of(walk.row(), m, i);
                Likelihood& all = likelihood[m][i];
                all.merge_quad();
                const float logit = quad_sum(target_logit[m][i]);
                if (threadIdx.x % 4 == 0 && row < p.rows && split < p.splits)
                    p.partial[size_t(row) * p.splits + split] = Partial{all.max, all.sum, logit};
            }
    }
};

DEVICE void head_sm90_block(const Head& p, const CUtensorMap& operand_map, const CUtensorMap& weight_map) {
    run_tiles(HeadWalk(p), LogSumExp(p), p.inner, operand_map, weight_map);
}

KERNEL_MAPPED(head_sm90, Head, LaunchSm90, head_sm90_block)
