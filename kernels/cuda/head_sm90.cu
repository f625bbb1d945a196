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

// Runs (row tile, pair of splits) r, r + blocks, …, numbered with the row tiles first. Tile n of a run belongs to split
// n % 2 of the pair, hence to consumer n % 2.
class HeadWalk {
public:
    DEVICE explicit HeadWalk(const Head& p)
        : row_tiles_(ceil_div(p.rows, TileSm90::BM)),
          run_tiles_(2 * ceil_div(p.split_columns, TileSm90::BN)),
          split_columns_(p.split_columns) {
        const int runs = row_tiles_ * ceil_div(p.splits, 2);
        tiles_ = ceil_div(max(runs - int(blockIdx.x), 0), gridDim.x) * run_tiles_;
    }
    DEVICE int tiles() const { return tiles_; }
    DEVICE Tile tile(int n) const {
        const int run = n / run_tiles_, place = n % run_tiles_, split = split_of(run, n);
        return Tile{run_of_grid(run) % row_tiles_ * TileSm90::BM, split * split_columns_ + place / 2 * TileSm90::BN, run,
                    place == 0, place == run_tiles_ - 1};
    }
    // Which split a consumer has in a run.
    DEVICE int split_of(int run, int consumer) const { return run_of_grid(run) / row_tiles_ * 2 + consumer % 2; }

private:
    DEVICE int run_of_grid(int run) const { return int(blockIdx.x) + run * int(gridDim.x); }

    int row_tiles_, run_tiles_, split_columns_, tiles_;
};

// What a thread knows of its four rows, and lane l of row l of the warp's.
struct LogSumExp {
    const Head& p;
    Likelihood likelihood[2][2];
    float scale;
    int target;

    DEVICE explicit LogSumExp(const Head& head) : p(head) {}

    // The target's logit is stored where it is met; until then, and in the other splits, it is 0.
    DEVICE void begin(const Tile& tile) {
        if (tile.column % p.split_columns != 0) return;
        const int row = row_of(tile.row, int(threadIdx.x % 32));
        const bool valid = row < p.rows;
        scale = scale_of_lane(p, tile.row) * LOG2E;
        target = valid ? int(p.targets[row]) : -1;
        if (valid && split_of(tile) < p.splits) partial(row, tile).target_logit = 0.f;
        __syncwarp();
#pragma unroll
        for (int m = 0; m < 2; m++)
#pragma unroll
            for (int i = 0; i < 2; i++) likelihood[m][i] = Likelihood{};
    }

    DEVICE void end(const Accumulators& d, const Tile& tile) {
        for_slices(d, tile.column, p.vocabulary, [&](int m, int i, int column, Slice& x) {
            const int number = number_of(m, i);
            const float row_scale = shuffle_from(scale, number);
            if (column + SLICE > p.vocabulary) mask_past(p.vocabulary, column, x);
            find_target(shuffle_from(target, number), column, x, row_scale,
                        &partial(row_of(tile.row, number), tile).target_logit);
            likelihood[m][i].add(row_scale, x);
        });
        if (tile.column % p.split_columns + TileSm90::BN >= p.split_columns) store(tile);
    }

private:
    DEVICE int split_of(const Tile& tile) const { return tile.column / p.split_columns; }
    DEVICE Partial& partial(int row, const Tile& tile) const { return p.partial[size_t(row) * p.splits + split_of(tile)]; }

    DEVICE void store(const Tile& tile) {
#pragma unroll
        for (int m = 0; m < 2; m++)
#pragma unroll
            for (int i = 0; i < 2; i++) {
                const int row = row_of(tile.row, number_of(m, i));
                Likelihood& all = likelihood[m][i];
                all.merge_quad();
                if (threadIdx.x % 4 != 0 || row >= p.rows || split_of(tile) >= p.splits) continue;
                partial(row, tile).max = all.max;
                partial(row, tile).sum = all.sum;
            }
    }
};

DEVICE void head_sm90_block(const Head& p, const CUtensorMap& operand_map, const CUtensorMap& weight_map) {
    run_tiles(HeadWalk(p), LogSumExp(p), p.inner, operand_map, weight_map);
}

KERNEL_MAPPED(head_sm90, Head, LaunchSm90, head_sm90_block)
