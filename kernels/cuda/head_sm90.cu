// head_sm90: for each row t and split s of the vocabulary the largest logit, the sum of 2^(logit - largest) and the
// target's logit, logit = log2(e) · rstd_t · operand[t, :] · weightᵀ, as head.cu, with wgmma and the TMA. Logits never
// leave registers.
//
// Tile 128 x 192, 384 threads, 221.4 kB of shared memory, one block a multiprocessor, persistent grid. The rows stay in
// shared memory (K <= 576) while the vocabulary streams by; one consumer's log-sum-exp runs under the other's products.
// Each consumer has a split of its own, so the two never merge: a run is a row tile and a pair of splits, whose tiles
// alternate. Runs go over the row tiles first: blocks that run together read the same splits, so weights come from
// device memory once a wave and out of L2 after that.
// Limit: at SmolLM2 (K = 576, V = 49152) 56.6 MFLOP a token: on an H100 71 ns by the products at 798 TFLOP/s. A tile's
// 24,576 exponentials take 1536 cycles of the special function units, under the other's 6912.
#include "walk_sm90.cuh"

// Runs r of the grid are (row tile, pair of splits), row tiles first; a block has r = its index, then every
// gridDim.x-th.
// Turn n of a run belongs to split n % 2 of the pair, as it does to consumer n % 2.
class HeadWalk {
public:
    DEVICE explicit HeadWalk(const Head& p)
        : row_tiles_(ceil_div(p.rows, TileSm90::BM)),
          run_turns_(2 * (p.split_columns / TileSm90::BN)),
          split_columns_(p.split_columns) {
        const int runs = row_tiles_ * ceil_div(p.splits, 2);
        turns_ = ceil_div(max(runs - int(blockIdx.x), 0), int(gridDim.x)) * run_turns_;
    }
    DEVICE int turns() const { return turns_; }
    DEVICE Turn turn(int n) const {
        const int run = n / run_turns_, place = n % run_turns_, r = int(blockIdx.x) + run * int(gridDim.x);
        const int split = r / row_tiles_ * 2 + place % 2;
        return Turn{r % row_tiles_ * TileSm90::BM, split * split_columns_ + place / 2 * TileSm90::BN, run, place == 0,
                    place == run_turns_ - 1};
    }

private:
    int row_tiles_, run_turns_, split_columns_, turns_;
};

// What a thread knows of its four rows in a run, and lane l of row l of the warp's 32.
struct LogSumExp {
    const Head& p;
    Likelihood known[ROW_PARTS];
    float scale;
    int target;

    DEVICE explicit LogSumExp(const Head& head) : p(head) {}

    // The target's logit is stored where it is met; until then, and in the other splits, it is 0.
    DEVICE void begin(const Turn& turn) {
        if (turn.column % p.split_columns != 0) return;
        const int row = product_row(turn, int(threadIdx.x % 32));
        scale = scale_of_lane(p, turn) * LOG2E;
        target = row < p.rows ? int(p.targets[row]) : -1;
        if (stores(row, turn)) partial(row, turn).target_logit = 0.f;
        __syncwarp();
#pragma unroll
        for (Likelihood& row_known : known) row_known = Likelihood{};
    }

    DEVICE void end(const AccumulatorsSm90& d, const Turn& turn) {
        each_slice(d, turn, p.vocabulary, [&](int column) {
            return [&, column](int index, Slice& x) {
                const int row = warp_row(index);
                const float row_scale = shuffle_from(scale, row);
                if (column + SLICE > p.vocabulary) mask_past(p.vocabulary, column, x);
                find_target(shuffle_from(target, row), column, x, row_scale,
                            &partial(product_row(turn, row), turn).target_logit);
                known[index].add(row_scale, x);
            };
        });
        if (turn.column % p.split_columns + TileSm90::BN == p.split_columns) store(turn);
    }

private:
    DEVICE int split_of(const Turn& turn) const { return turn.column / p.split_columns; }
    DEVICE bool stores(int row, const Turn& turn) const { return row < p.rows && split_of(turn) < p.splits; }
    DEVICE Partial& partial(int row, const Turn& turn) const {
        return p.partial[size_t(row) * p.splits + split_of(turn)];
    }

    DEVICE void store(const Turn& turn) {
#pragma unroll
        for (int index = 0; index < ROW_PARTS; index++) {
            const int row = product_row(turn, warp_row(index));
            known[index].merge_quad();
            if (threadIdx.x % 4 != 0 || !stores(row, turn)) continue;
            partial(row, turn).max = known[index].max;
            partial(row, turn).sum = known[index].sum;
        }
    }
};

DEVICE void head_sm90_block(const Head& p, const CUtensorMap& operand_map, const CUtensorMap& weight_map) {
    run_tiles(HeadWalk(p), LogSumExp(p), p.inner, operand_map, weight_map);
}

KERNEL_MAPPED(head_sm90, Head, LaunchSm90, head_sm90_block)
