// What the sm_90a kernels share around the tile product: the order in which a block walks over its tiles, and the way
// from a thread's accumulators to slices of its rows.
#pragma once
#include "epilogue.cuh"
#include "tile_sm90.cuh"

// A block's share of the tiles of a product: a contiguous range in row-major order, equal to one tile for every block
// of the grid. So a block meets few row tiles, and keeps the rows of each.
class ProductWalk {
public:
    DEVICE ProductWalk(int rows, int columns) : column_tiles_(ceil_div(columns, TileSm90::BN)) {
        const long long all = (long long)ceil_div(rows, TileSm90::BM) * column_tiles_;
        begin_ = int(all * blockIdx.x / gridDim.x);
        turns_ = int(all * (blockIdx.x + 1) / gridDim.x) - begin_;
    }
    DEVICE int turns() const { return turns_; }
    DEVICE Turn turn(int n) const {
        const int index = begin_ + n, row_tile = index / column_tiles_, column_tile = index % column_tiles_;
        return Turn{row_tile * TileSm90::BM, column_tile * TileSm90::BN, row_tile - begin_ / column_tiles_,
                    n == 0 || column_tile == 0, n == turns_ - 1 || column_tile == column_tiles_ - 1};
    }

private:
    int column_tiles_, begin_, turns_;
};

// A warp has 32 rows of a tile: 16 of the upper half, then 16 of the lower. This is the number, from 0, of the one that
// part `index` of a thread's accumulators belongs to.
constexpr int ROW_PARTS = 4;
DEVICE int warp_row(int index) { return pinned(8 * index + int(threadIdx.x % 32 / 4)); }

// The row of the whole product.
DEVICE int product_row(const Turn& turn, int warp_row) {
    return turn.row + warp_row / 16 * 64 + int(threadIdx.x / 32 % 4) * 16 + warp_row % 16;
}

// Calls finish(column) for each slice of 64 columns that begins before `columns`, to get what to call with (index,
// slice) for each of a thread's rows. What is pinned keeps the addresses of later rows and slices out of registers.
template <class Finish>
DEVICE void each_slice(const AccumulatorsSm90& d, const Turn& turn, int columns, Finish finish) {
#pragma unroll
    for (int s = 0; s < TileSm90::BN / SLICE; s++) {
        const int column = pinned(turn.column + s * SLICE);
        if (column >= columns) return;
        auto take = finish(column);
#pragma unroll
        for (int index = 0; index < ROW_PARTS; index++) {
            Slice x;
#pragma unroll
            for (int n = 0; n < SLICE / 8; n++)
#pragma unroll
                for (int j = 0; j < 2; j++) x[n][j] = d[index / 2][4 * (s * SLICE / 8 + n) + 2 * (index % 2) + j];
            take(index, x);
        }
    }
}

// RMSNorm's scale of row `lane` of the warp's 32; a thread gets another row's with shuffle_from. Rows past the end have
// 0.
template <class Params> DEVICE float scale_of_lane(const Params& p, const Turn& turn) {
    const int row = product_row(turn, int(threadIdx.x % 32)), slices = p.inner / SLICE;
    return row < p.rows ? norm_scale(p.squares + size_t(row) * slices, slices, p.channels, p.norm_epsilon) : 0.f;
}

// A norm's scale, then a policy of epilogue.cuh.
template <class Policy> struct Normed {
    const Projection& p;
    float scale;

    DEVICE explicit Normed(const Projection& projection) : p(projection) {}
    DEVICE void begin(const Turn& turn) { scale = scale_of_lane(p, turn); }
    DEVICE void end(const AccumulatorsSm90& d, const Turn& turn) {
        each_slice(d, turn, p.columns, [&](int column) {
            return [&, policy = Policy{p, column}](int index, Slice& x) {
                const int row = warp_row(index);
                policy(product_row(turn, row), shuffle_from(scale, row), x);
            };
        });
    }
};

// A policy that needs nothing but the parameters.
template <class Policy, class Parameters> struct Finished {
    const Parameters& p;

    DEVICE void begin(const Turn&) {}
    DEVICE void end(const AccumulatorsSm90& d, const Turn& turn) {
        each_slice(d, turn, p.columns, [&](int column) {
            return [&, policy = Policy(p, column)](int index, Slice& x) {
                policy(product_row(turn, warp_row(index)), x);
            };
        });
    }
};

// A policy that adds to the stream.
template <class Policy, class Parameters> struct Added {
    const Parameters& p;

    // Has the tile's part of the stream brought to L2 under the product: a row for each lane. No registers are left to
    // load the next row under the work on this one.
    DEVICE void begin(const Turn& turn) {
        const int row = product_row(turn, int(threadIdx.x % 32));
        const int columns = min(TileSm90::BN, p.width - turn.column);
        if (row < p.rows) prefetch(p.stream + size_t(row) * p.width + turn.column, columns * int(sizeof(float)));
    }

    DEVICE void end(const AccumulatorsSm90& d, const Turn& turn) {
        each_slice(d, turn, p.width, [&](int column) {
            return [&, policy = Policy{p, column}](int index, Slice& x) {
                const int row = product_row(turn, warp_row(index));
                typename Policy::Before before;
                policy.load(row, before);
                policy(row, before, x);
            };
        });
    }
};
