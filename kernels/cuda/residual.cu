// A projection back into the residual stream: stream += operand weightᵀ
#include "tile.cuh"

struct ResidualLaunch : Tile {
    static constexpr int SHARED_BYTES = RING_BYTES;
};

DEVICE void residual_body(const Residual& p) {
    SMEM_DYNAMIC(shared);
    const Place place(p.rows, p.width);
    const Product product{p.operand, p.weight, p.rows, p.inner, p.width, place.row, place.column, 1};
    multiply_tiles(product, shared, [&](int column, Accumulators& sums) {
        const AddToStream epilogue{p, column};
        const int row = place.row + Accumulators::row_of(0);
        AddToStream::Before before[2];
        epilogue.load(row, before[0]);
        sums.each_row([&](int index, Slice& x) {
            if (index + 1 < Accumulators::ROWS) epilogue.load(row + 8 * (index + 1), before[(index + 1) % 2]);
            epilogue(row + 8 * index, before[index % 2], x);
        });
    });
}

KERNEL(residual, Residual, ResidualLaunch, residual_body)
