// The product behind every projection on sm_80 and up: operand · weightᵀ, 128 x 128 a block, bf16 in, fp32 sums.
//
// Four warps make 64 x 64 each (64 x 64 halves the ldmatrix traffic of 32 x 32, and 128 accumulators still leave
// registers for two blocks an SM). Both operands come through a ring of four stages of 32 columns, filled by cp.async
// three stages ahead, so one barrier a stage is enough: it says that the stage has landed for all, and that all are
// done with the stage that is filled next. A ring of 64 KiB lets two blocks live on an SM from 164 KiB on (A100,
// H100), one's epilogue under the other's product, and one on the 100 KiB parts (sm_86, sm_89).
//
// A row of a stage is 64 bytes, four pieces of 16. Piece c of row r lies at place c ^ (r/2 % 4): any eight rows that
// one ldmatrix phase reads, and any 128 bytes that eight lanes write, then fall on all 32 banks once.
#pragma once
#include "epilogue.cuh"

struct Tile {
    static constexpr int BM = 128, BN = 128, BK = 32, STAGES = 4;
    static constexpr int THREADS = 128, MIN_BLOCKS = 2;
    static constexpr int ROW_BYTES = BK * 2, PIECES = ROW_BYTES / 16;
    static constexpr int OPERAND_BYTES = BM * ROW_BYTES, STAGE_BYTES = OPERAND_BYTES + BN * ROW_BYTES;
    static constexpr int RING_BYTES = STAGES * STAGE_BYTES;
    static constexpr int WARP_M = 64, WARP_N = SLICE;  // a warp's part of the tile
    static constexpr int GROUP = 8;                    // row tiles that share weights in L2
};
static_assert(Tile::THREADS == 32 * (Tile::BM / Tile::WARP_M) * (Tile::BN / Tile::WARP_N), "a warp each part");
static_assert(Tile::THREADS == Tile::BM, "a thread for each row's scale");

// What a block multiplies: rows [row, row + BM) of `operand` [rows, inner] by `tiles` tiles of `weight` from `column`
// on. Slices of 64 columns from `columns` on are left out; rows of `weight` are there up to whole tiles.
struct Product {
    const bf16 *operand, *weight;
    int rows, inner, columns;
    int row, column, tiles;
};

// The tile of block blockIdx.x in a grid of ceil(rows/BM) · ceil(columns/BN) blocks. Neighbours in time share
// operands in L2: GROUP row tiles go through all columns, column by column, before the next GROUP starts.
struct Place {
    int row, column;

    DEVICE Place(int rows, int columns) {
        const int row_tiles = ceil_div(rows, Tile::BM), column_tiles = ceil_div(columns, Tile::BN);
        const int first = int(blockIdx.x) / (Tile::GROUP * column_tiles) * Tile::GROUP;
        const int within = int(blockIdx.x) % (Tile::GROUP * column_tiles), height = min(Tile::GROUP, row_tiles - first);
        row = (first + within % height) * Tile::BM;
        column = within / height * Tile::BN;
    }
};

// Where a piece of 16 bytes lies in a stage's operand or weight.
DEVICE constexpr uint32_t swizzled(int row, int piece) {
    return uint32_t(row * Tile::ROW_BYTES + (piece ^ (row / (8 / Tile::PIECES) % Tile::PIECES)) * 16);
}

// Whether eight lanes that move 16 bytes each meet every bank once: those that read eight rows of a piece (ldmatrix),
// and those that write the pieces of neighbouring rows in order (cp.async).
DEVICE constexpr bool conflict_free() {
    for (int piece = 0; piece < Tile::PIECES; piece++) {
        uint32_t read = 0, written = 0;
        for (int lane = 0; lane < 8; lane++) {
            read |= 1u << swizzled(lane, piece) / 16 % 8;
            written |= 1u << swizzled((8 * piece + lane) / Tile::PIECES, lane % Tile::PIECES) / 16 % 8;
        }
        if (read != 0xFF || written != 0xFF) return false;
    }
    return true;
}
static_assert(conflict_free(), "each eight lanes on all banks once");

// This thread's share of the copies into the ring: every ROWS-th row, one piece of it, of operand and weight.
class Feed {
    static constexpr int ROWS = Tile::THREADS / Tile::PIECES;
    const bf16 *operand, *weight;
    size_t stride;  // of rows, in elements
    int inner, k = 0, steps, valid;
    uint32_t to, stage = 0;

  public:
    const uint32_t ring;

    // Starts to fill the ring, all of its stages but one.
    DEVICE Feed(const Product& p, const unsigned char* shared)
        : stride(p.inner), inner(p.inner), ring(smem_addr(shared)) {
        const int row = int(threadIdx.x) / Tile::PIECES, piece = int(threadIdx.x) % Tile::PIECES;
        operand = p.operand + size_t(p.row + row) * stride + piece * 8;
        weight = p.weight + size_t(p.column + row) * stride + piece * 8;
        valid = p.rows - p.row - row;
        steps = p.tiles * (p.inner / Tile::BK);
        to = ring + swizzled(row, piece);
#pragma unroll
        for (int s = 0; s < Tile::STAGES - 1; s++) next();
    }

    // Starts the copies of the next step, if any is left, and closes their group.
    DEVICE void next() {
        if (steps > 0) {
            const uint32_t place = to + stage * Tile::STAGE_BYTES;
#pragma unroll
            for (int i = 0; i < Tile::BM / ROWS; i++)
                cp_async16(place + i * ROWS * Tile::ROW_BYTES, operand + i * ROWS * stride, i * ROWS < valid);
#pragma unroll
            for (int i = 0; i < Tile::BN / ROWS; i++)
                cp_async16(place + Tile::OPERAND_BYTES + i * ROWS * Tile::ROW_BYTES, weight + i * ROWS * stride);
            advance();
        }
        cp_commit();
    }

  private:
    DEVICE void advance() {
        steps--;
        stage = (stage + 1) % Tile::STAGES;
        operand += Tile::BK, weight += Tile::BK, k += Tile::BK;
        if (k == inner) {  // on to the next tile of the weight, and the same rows again
            operand -= inner;
            weight += (Tile::BN - 1) * stride;
            k = 0;
        }
    }
};

// A warp's 64 x 64 accumulators. Lane 4g + t holds of each [m][n] the elements (g, 2t), (g, 2t+1), (g+8, 2t), (g+8,
// 2t+1) of the 16 x 8 block at row 16m, column 8n.
class Accumulators {
    float d[Tile::WARP_M / 16][Tile::WARP_N / 8][4];

  public:
    static constexpr int ROWS = Tile::WARP_M / 8;  // rows that a lane has a part of

    DEVICE static int warp_row() { return int(threadIdx.x) / 32 % 2 * Tile::WARP_M; }
    DEVICE static int warp_column() { return int(threadIdx.x) / 64 * Tile::WARP_N; }

    // The tile's row of this lane's part `index`.
    DEVICE static int row_of(int index) { return warp_row() + index * 8 + int(threadIdx.x) % 32 / 4; }

    DEVICE void clear() {
#pragma unroll
        for (auto& rows : d)
#pragma unroll
            for (auto& block : rows)
#pragma unroll
                for (float& x : block) x = 0.f;
    }

    // Adds the product of a stage.
    DEVICE void multiply(uint32_t stage) {
        const int lane = int(threadIdx.x) % 32;
        const uint32_t operand = stage, weight = stage + Tile::OPERAND_BYTES;
#pragma unroll
        for (int k = 0; k < Tile::BK / 16; k++) {
            uint32_t b[Tile::WARP_N / 16][4];
#pragma unroll
            for (int n = 0; n < Tile::WARP_N / 16; n++)
                ldmatrix_x4(b[n], weight + n * 16 * Tile::ROW_BYTES +
                                      swizzled(warp_column() + lane / 16 * 8 + lane % 8, 2 * k + lane / 8 % 2));
#pragma unroll
            for (int m = 0; m < Tile::WARP_M / 16; m++) {
                uint32_t a[4];
                ldmatrix_x4(a, operand + m * 16 * Tile::ROW_BYTES +
                                   swizzled(warp_row() + lane % 16, 2 * k + lane / 16));
#pragma unroll
                for (int n = 0; n < Tile::WARP_N / 8; n++)
                    mma_16816(d[m][n], a, b[n / 2][n % 2 * 2], b[n / 2][n % 2 * 2 + 1]);
            }
        }
    }

    // Calls `take(index, slice)` for each of this lane's rows.
    template <class Take> DEVICE void each_row(Take take) {
#pragma unroll
        for (int index = 0; index < ROWS; index++) {
            Slice x;
#pragma unroll
            for (int n = 0; n < SLICE / 8; n++)
#pragma unroll
                for (int j = 0; j < 2; j++) x[n][j] = d[index / 2][n][index % 2 * 2 + j];
            take(index, x);
        }
    }
};

// Multiplies, and calls `finish(column, accumulators)` by each warp after each tile, with its slice's first column. The
// ring runs on over the tiles, so the next one is under way meanwhile. The first barrier that a thread meets is before
// its first `finish`: what the block wrote to shared memory before the call can be read there.
template <class Finish> DEVICE void multiply_tiles(const Product& p, Feed& feed, Finish finish) {
    uint32_t stage = 0;
    for (int tile = 0; tile < p.tiles; tile++) {
        const int column = p.column + tile * Tile::BN + Accumulators::warp_column();
        const bool needed = column < p.columns;
        Accumulators sums;
        sums.clear();
        for (int k = 0; k < p.inner; k += Tile::BK) {
            cp_wait<Tile::STAGES - 2>();
            __syncthreads();
            feed.next();
            if (needed) sums.multiply(feed.ring + stage * Tile::STAGE_BYTES);
            stage = (stage + 1) % Tile::STAGES;
        }
        if (needed) finish(column, sums);
    }
}

// The norm's scale of a row of the kernel's operand; 0 past the end. `Parameters` is Projection or Head.
template <class Parameters> DEVICE float scale_of_row(const Parameters& p, int row) {
    const int slices = p.inner / SLICE;
    return row < p.rows ? norm_scale(p.squares + size_t(row) * slices, slices, p.channels, p.norm_epsilon) : 0.f;
}

// A product behind a norm, whose slices `Epilogue` finishes: qkv and gate_up.
template <class Epilogue> DEVICE void project(const Projection& p) {
    SMEM_DYNAMIC(shared);
    float* const scales = reinterpret_cast<float*>(shared + Tile::RING_BYTES);
    const Place place(p.rows, p.columns);
    const Product product{p.operand, p.weight, p.rows, p.inner, p.columns, place.row, place.column, 1};
    Feed feed(product, shared);
    scales[threadIdx.x] = scale_of_row(p, place.row + int(threadIdx.x));
    multiply_tiles(product, feed, [&](int column, Accumulators& sums) {
        const Epilogue epilogue{p, column};
        sums.each_row([&](int index, Slice& x) {
            const int row = Accumulators::row_of(index);
            epilogue(place.row + row, scales[row], x);
        });
    });
}

// A product of the operand with one tile of the weight for each block; `finish` as for multiply_tiles, with the place of
// the block's tile.
template <class Parameters, class Finish> DEVICE void multiply_tile(const Parameters& p, int columns, Finish finish) {
    SMEM_DYNAMIC(shared);
    const Place place(p.rows, columns);
    const Product product{p.operand, p.weight, p.rows, p.inner, columns, place.row, place.column, 1};
    Feed feed(product, shared);
    multiply_tiles(product, feed, [&](int column, Accumulators& sums) { finish(place, column, sums); });
}

// A product whose rows `Epilogue` finishes one by one, with nothing but the parameters: linear and linear_gelu.
template <class Epilogue, class Parameters> DEVICE void finish_product(const Parameters& p) {
    multiply_tile(p, p.columns, [&](const Place& place, int column, Accumulators& sums) {
        const Epilogue epilogue(p, column);
        sums.each_row([&](int index, Slice& x) { epilogue(place.row + Accumulators::row_of(index), x); });
    });
}

// A product that is added to the stream: residual and linear_add. The next row's part of the stream is loaded under the
// work on this one.
template <class Epilogue, class Parameters> DEVICE void add_product(const Parameters& p) {
    multiply_tile(p, p.width, [&](const Place& place, int column, Accumulators& sums) {
        const Epilogue epilogue{p, column};
        const int row = place.row + Accumulators::row_of(0);
        typename Epilogue::Before before[2];
        epilogue.load(row, before[0]);
        sums.each_row([&](int index, Slice& x) {
            if (index + 1 < Accumulators::ROWS) epilogue.load(row + 8 * (index + 1), before[(index + 1) % 2]);
            epilogue(row + 8 * index, before[index % 2], x);
        });
    });
}
