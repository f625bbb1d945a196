// What the sm_90a kernels share around the tile product: the order in which a block walks over its tiles, and the way
// from a thread's accumulators to slices of its rows.
#pragma once
#include "epilogue.cuh"
#include "tile_sm90.cuh"

// A block's share of the tiles of a product: a contiguous range in row-major order, equal to one tile for every block of
// the grid. So a block meets few row tiles, and keeps the rows of each.
class ProductWalk {
public:
    DEVICE ProductWalk(int rows, int columns) : column_tiles_(ceil_div(columns, TileSm90::BN)) {
        const long long all = (long long)ceil_div(rows, TileSm90::BM) * column_tiles_;
        begin_ = int(all * blockIdx.x / gridDim.x);
        tiles_ = int(all * (blockIdx.x + 1) / gridDim.x) - begin_;
    }
    DEVICE int tiles() const { return tiles_; }
    DEVICE Tile tile(int n) const {
        const int index = begin_ + n, row_tile = index / column_tiles_, column_tile = index % column_tiles_;
        return Tile{row_tile * TileSm90::BM, column_tile * TileSm90::BN, row_tile - begin_ / column_tiles_,
                    n == 0 || column_tile == 0, n == tiles_ - 1 || column_tile == column_tiles_ - 1};
    }

private:
    int column_tiles_, begin_, tiles_;
};

// The warp's 32 rows of a tile are numbered 0 to 31: 16 of the upper half, then 16 of the lower.
DEVICE int row_of(int tile_row, int number) {
    return tile_row + number / 16 * 64 + int(threadIdx.x / 32 % 4) * 16 + number % 16;
}

// The row, of the warp's 32, that a thread's accumulators d[m][4n + 2i + j] belong to.
DEVICE int number_of(int m, int i) { return 16 * m + 8 * i + int(threadIdx.x % 32 / 4); }

// Calls take(m, i, column, slice) for each slice of the thread's rows that begins before `columns`.
template <class Take> DEVICE void for_slices(const Accumulators& d, int column, int columns, Take take) {
#pragma unroll
    for (int m = 0; m < 2; m++)
#pragma unroll
        for (int i = 0; i < 2; i++)
#pragma unroll
            for (int s = 0; s < TileSm90::BN / SLICE; s++) {
                if (column + s * SLICE >= columns) continue;
                Slice x;
#pragma unroll
                for (int n = 0; n < SLICE / 8; n++)
#pragma unroll
                    for (int j = 0; j < 2; j++) x[n][j] = d[m][4 * (s * SLICE / 8 + n) + 2 * i + j];
                take(m, i, column + s * SLICE, x);
            }
}

// RMSNorm's scale of row `lane` of the warp's 32; a thread gets another row's with shuffle_from. Rows past the end have 0.
template <class Params> DEVICE float scale_of_lane(const Params& p, int tile_row) {
    const int row = row_of(tile_row, int(threadIdx.x % 32)), slices = p.inner / SLICE;
    return row < p.rows ? norm_scale(p.squares + size_t(row) * slices, slices, p.channels, p.norm_epsilon) : 0.f;
}

// A norm's scale, then a policy of epilogue.cuh for each slice.
template <class Policy> struct NormedTiles {
    Policy policy;
    const Projection& p;
    float scale;

    DEVICE explicit NormedTiles(const Projection& projection) : policy{projection}, p(projection) {}
    DEVICE void begin(const Tile& tile) { scale = scale_of_lane(p, tile.row); }
    DEVICE void end(const Accumulators& d, const Tile& tile) {
        for_slices(d, tile.column, p.columns, [&](int m, int i, int column, Slice& x) {
            const int number = number_of(m, i);
            policy(row_of(tile.row, number), shuffle_from(scale, number), column, x);
        });
    }
};
