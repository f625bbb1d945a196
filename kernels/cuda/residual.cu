// A projection back into the residual stream: stream += operand weightᵀ
#include "tile.cuh"

struct ResidualLaunch : Tile {
    static constexpr int SHARED_BYTES = RING_BYTES;
};

DEVICE void residual_body(const Residual& p) {
    SMEM_DYNAMIC(shared);
    const Place place(p.rows, p.width);
    const Product product{p.operand, p.weight, p.rows, p.inner, p.width, place.row, place.column, 1};
    const AddToStream epilogue{p};
    multiply_tiles(product, shared, [&](int column, Accumulators& sums) {
        sums.each_row([&](int index, Slice& x) { epilogue(place.row + Accumulators::row_of(index), column, x); });
    });
}

KERNEL(residual, Residual, ResidualLaunch, residual_body)
