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
        const int tiles = ceil_div(rows, TileSm90::BM) * column_tiles_, blocks = gridDim.x, block = blockIdx.x;
        const int begin = int((long long)tiles * block / blocks);
        end_ = int((long long)tiles * (block + 1) / blocks);
        row_tile_ = begin / column_tiles_;
        column_tile_ = begin % column_tiles_;
        left_ = end_ - begin;
    }
    DEVICE bool more() const { return left_ > 0; }
    DEVICE void next() {
        left_ -= tiles();
        row_tile_++;
        column_tile_ = 0;
    }
    DEVICE int tiles() const { return min(left_, column_tiles_ - column_tile_); }
    DEVICE int row() const { return row_tile_ * TileSm90::BM; }
    DEVICE int column(int tile) const { return (column_tile_ + tile) * TileSm90::BN; }

private:
    int column_tiles_, end_, row_tile_, column_tile_, left_;
};

// The four rows of a tile that a thread's accumulators belong to: row(m, i) for half m and i = 0, 1.
DEVICE int row_of(int tile_row, int m, int i) {
    return tile_row + 64 * m + 16 * int(threadIdx.x / 32 % 4) + 8 * i + int(threadIdx.x % 32 / 4);
}

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

// RMSNorm's scales of a thread's rows, read once for a run of tiles. Rows past the end get 0.
struct RowScales {
    float of[2][2];

    template <class Params> DEVICE void read(const Params& p, int tile_row) {
        const int slices = p.inner / SLICE;
#pragma unroll
        for (int m = 0; m < 2; m++)
#pragma unroll
            for (int i = 0; i < 2; i++) {
                const int row = row_of(tile_row, m, i);
                const bool valid = row < p.rows;
                of[m][i] = valid ? norm_scale(p.squares + size_t(row) * slices, slices, p.channels, p.norm_epsilon) : 0.f;
            }
    }
};

// A norm's scale, then a policy of epilogue.cuh for each slice.
template <class Policy> struct NormedTiles {
    Policy policy;
    const Projection& p;
    RowScales scales;

    DEVICE explicit NormedTiles(const Projection& projection) : policy{projection}, p(projection) {}
    DEVICE void begin(const ProductWalk& walk) { scales.read(p, walk.row()); }
    DEVICE void store(const Accumulators& d, int row, int column) {
        for_slices(d, column, p.columns, [&](int m, int i, int at, Slice& x) {
            policy(row_of(row, m, i), scales.of[m][i], at, x);
        });
    }
    DEVICE void end(const ProductWalk&, int) {}
};
