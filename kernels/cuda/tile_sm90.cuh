// The product of 128 rows of the operand and 192 of the weight for sm_90a: x[128, K] w[192, K]ᵀ, fp32 accumulators.
//
// A block of 384 threads is three warpgroups. One is the producer: a single thread has the TMA bring chunks of 64
// columns into two rings of shared memory. The other two are consumers that take the block's tiles in turn: each
// computes a whole tile, so while one finishes its tile (norm, RoPE, SwiGLU, log-sum-exp, stores) the other has the
// tensor cores. The turn passes when a consumer has issued its last product, so the tensor cores see no gap. The grid
// is persistent and the producer runs ahead from tile to tile: a tile of K = 576 has 9 chunks only, and its prologue and
// epilogue would weigh 15 to 25 %.
//
// Arithmetic, not measured (H100 SXM: 132 multiprocessors, 4096 bf16 FLOP a cycle each, L2 5.5 to 7 TB/s or 24 to 30
// bytes a cycle each at 1.755 GHz, shared memory 128 bytes a cycle, 227 KiB a block):
//   tensor cores   a 64x192x16 product takes 96 cycles, a chunk 768, a tile of K = 576 6912
//   shared memory  a 64x192x16 product reads 2 + 6 KiB, 85 bytes a cycle; the TMA writes 32, or 53 with streamed rows
//   L2             rows that stay (K <= 576): 24 KiB a chunk, 32 bytes a cycle, which 5.5 TB/s feed at 75 % of the peak
//                  and 7 TB/s at 95 %; streamed rows (larger K): 40 KiB, 53 bytes a cycle, 45 to 57 %
//   latency        two of three chunks under way cover 1536 cycles; four of five, with streamed rows, 3072
//   registers      192 accumulators of the 240 that setmaxnreg gives: 2 * 128 * 240 + 128 * 24 <= 65536
// Rejected: both consumers on one tile, 64 x 192 each: the same traffic with half the accumulators, but their epilogues
// meet, because the ring lets one lead by two chunks only. Tiles of 128 x 96: shared memory would be read at 106 bytes a
// cycle. Clusters with multicast: they halve the L2 traffic, which staying rows have brought below its limit already,
// and cost barriers between blocks. Both consumers on one tile of 256 x 192 with streamed rows: 37 bytes a cycle for
// every K, epilogues in the open; the next step for K > 576 should measurements name it.
#pragma once
#include "hopper.cuh"

struct TileSm90 {
    static constexpr int BM = 128, BN = 192, CHUNK = 64, THREADS = 384, MIN_BLOCKS = 1;
    static constexpr int ROW_CHUNK = BM * CHUNK, WEIGHT_CHUNK = BN * CHUNK;  // values of a chunk
    static constexpr int POOL = 9 * ROW_CHUNK + 3 * WEIGHT_CHUNK;            // values of all slots
    static constexpr int SLOTS = 12;                                         // of both rings, at most
    static constexpr int PRODUCER_REGISTERS = 24, CONSUMER_REGISTERS = 240;
};

// One warpgroup's accumulators: half m holds rows 64m to 64m + 63, laid out as wgmma_64x192x16 says.
using AccumulatorsSm90 = float[2][TileSm90::BN / 2];

// The rings' slots, each with a barrier that says it is full and one that says it has been read: the rows' slots, then
// the weights'.
struct TileSharedSm90 {
    bf16 pool[TileSm90::POOL];
    Barrier full[TileSm90::SLOTS], empty[TileSm90::SLOTS];
    Barrier turn[2];  // of each consumer: the other has issued its tile
};

// Launch facts of every kernel built on this product; the grid is persistent, blocks <= multiprocessors.
struct LaunchSm90 : TileSm90 {
    static constexpr int SHARED_BYTES = sizeof(TileSharedSm90);
};
static_assert(LaunchSm90::SHARED_BYTES <= 227 * 1024, "what a block of sm_90 can have");

// How the pool is split for K = 64 * chunks. Up to nine chunks of rows stay for all tiles of the same rows; more are
// streamed as the weights are. Rows that stay are freed by the last tile that reads them, while the tile before may not
// be done: its products are, when a chunk of weights could be loaded only after the chunk that the tile before read
// together with the same rows. Hence a ring of weights no longer than a tile.
struct Rings {
    bool stay;
    int row_slots, weight_slots;

    DEVICE explicit Rings(int chunks) {
        constexpr int STREAMED = TileSm90::POOL / (TileSm90::ROW_CHUNK + TileSm90::WEIGHT_CHUNK);
        stay = chunks <= 9;
        row_slots = stay ? chunks : STREAMED;
        const int fitting = (TileSm90::POOL - chunks * TileSm90::ROW_CHUNK) / TileSm90::WEIGHT_CHUNK;
        weight_slots = stay ? min(chunks, fitting) : STREAMED;
    }
    DEVICE bf16* rows(TileSharedSm90& shared, int slot) const { return shared.pool + slot * TileSm90::ROW_CHUNK; }
    DEVICE bf16* weight(TileSharedSm90& shared, int slot) const {
        return shared.pool + row_slots * TileSm90::ROW_CHUNK + slot * TileSm90::WEIGHT_CHUNK;
    }
};

// Where a ring keeps the chunk of this number, counted from the block's first, and the parity of the phase that fills
// it.
struct RingPlace {
    int slot;
    uint32_t parity;
    DEVICE RingPlace(int chunk, int slots) : slot(chunk % slots), parity(chunk / slots & 1) {}
    DEVICE void next(int slots) {
        const bool wraps = slot == slots - 1;
        slot = wraps ? 0 : slot + 1;
        parity ^= wraps;
    }
};

// What a consumer does in its turn: a tile, by its first row and column, and its place in a run of tiles of the same
// rows. Turns of a block are numbered from 0; turn n is consumer n % 2's.
struct Turn {
    int row, column, run;
    bool first, last;
};

DEVICE void init_barriers(TileSharedSm90& shared) {
    constexpr int CONSUMER_WARPS = 4;
    if (threadIdx.x == 0) {
        for (Barrier& full : shared.full) mbarrier_init(full, 1);
        for (Barrier& empty : shared.empty) mbarrier_init(empty, CONSUMER_WARPS);
        for (Barrier& turn : shared.turn) mbarrier_init(turn, CONSUMER_WARPS);
        mbarrier_init_fence();
    }
    __syncthreads();
}

// Brings a chunk once its slot has been read.
DEVICE void load(TileSharedSm90& shared, int slot, uint32_t parity, bf16* to, int values, const CUtensorMap& map,
                 int column, int row) {
    mbarrier_wait(shared.empty[slot], parity ^ 1);
    mbarrier_arrive_expecting(shared.full[slot], values * int(sizeof(bf16)));
    tma_load(to, map, column, row, shared.full[slot]);
}

// Brings every chunk of every turn of `walk`, in order. One thread runs it.
template <class Walk>
DEVICE void produce(TileSharedSm90& shared, const Walk& walk, int chunks, const CUtensorMap& operand_map,
                    const CUtensorMap& weight_map) {
    const Rings rings(chunks);
    RingPlace rows(0, rings.row_slots), weight(0, rings.weight_slots);
    for (int n = 0; n < walk.turns(); n++) {
        const Turn turn = walk.turn(n);
        for (int k = 0; k < chunks; k++) {
            const int column = k * TileSm90::CHUNK;
            if (turn.first || !rings.stay) {
                load(shared, rows.slot, rows.parity, rings.rows(shared, rows.slot), TileSm90::ROW_CHUNK, operand_map,
                     column, turn.row);
                rows.next(rings.row_slots);
            }
            load(shared, rings.row_slots + weight.slot, weight.parity, rings.weight(shared, weight.slot),
                 TileSm90::WEIGHT_CHUNK, weight_map, column, turn.column);
            weight.next(rings.weight_slots);
        }
    }
}

// Every warp arrives for itself: its own products being issued or done says nothing of the other warps'.
DEVICE void arrive_of_warp(Barrier& barrier) {
    if (threadIdx.x % 32 == 0) mbarrier_arrive(barrier);
}

// Starts the products of one chunk.
DEVICE void issue(AccumulatorsSm90& d, const bf16* rows, const bf16* weight, bool accumulate) {
    const uint64_t upper = wgmma_operand(rows), lower = wgmma_operand(rows + 64 * TileSm90::CHUNK);
    const uint64_t b = wgmma_operand(weight);
    wgmma_fence();
#pragma unroll
    for (int step = 0; step < TileSm90::CHUNK / 16; step++) {
        wgmma_64x192x16(d[0], upper + 2 * step, b + 2 * step, accumulate || step > 0);
        wgmma_64x192x16(d[1], lower + 2 * step, b + 2 * step, accumulate || step > 0);
    }
    wgmma_commit();
}

// Computes the tile of turn n.
//
// Turns are more than order: a wait by parity is sound only one phase ahead, so a consumer may look at a ring only when
// the other has seen every chunk before full. The products of two chunks are in flight: a slot is freed one chunk late.
DEVICE void multiply(AccumulatorsSm90& d, TileSharedSm90& shared, int n, const Turn& turn, int chunks) {
    const Rings rings(chunks);
    RingPlace rows((rings.stay ? turn.run : n) * chunks, rings.row_slots), weight(n * chunks, rings.weight_slots);
    int read_rows = 0, read_weight = 0;
    auto free = [&] {
        arrive_of_warp(shared.empty[rings.row_slots + read_weight]);
        if (turn.last || !rings.stay) arrive_of_warp(shared.empty[read_rows]);
    };
    // Consumer 0's first turn waits for the phase before a barrier's first, which counts as over.
    mbarrier_wait(shared.turn[n & 1], (n / 2 ^ n ^ 1) & 1);
    for (int k = 0; k < chunks; k++) {
        mbarrier_wait(shared.full[rows.slot], rows.parity);
        mbarrier_wait(shared.full[rings.row_slots + weight.slot], weight.parity);
        issue(d, rings.rows(shared, rows.slot), rings.weight(shared, weight.slot), k > 0);
        wgmma_wait<1>();
        if (k > 0) free();
        read_rows = rows.slot, read_weight = weight.slot;
        rows.next(rings.row_slots);
        weight.next(rings.weight_slots);
    }
    arrive_of_warp(shared.turn[(n & 1) ^ 1]);
    wgmma_wait<0>();
    wgmma_settle(d[0]);
    wgmma_settle(d[1]);
    free();
}

// Runs the block: the producer, and the consumers, who take the tiles of `walk` in turn.
//
// Walk: how many turns() the block has, and what turn(n) is, the same for all its threads. Epilogue: begin(turn) before
// the turn's product, in the other consumer's time; end(accumulators, turn) after it.
template <class Walk, class Epilogue>
DEVICE void run_tiles(const Walk& walk, Epilogue epilogue, int inner, const CUtensorMap& operand_map,
                      const CUtensorMap& weight_map) {
    SMEM_DYNAMIC(raw);
    TileSharedSm90& shared = *reinterpret_cast<TileSharedSm90*>(raw);
    const int warpgroup = shuffle_from(int(threadIdx.x / 128), 0);  // lets the compiler see that it is uniform
    const int chunks = inner / TileSm90::CHUNK;
    init_barriers(shared);
    if (warpgroup == 0) {
        registers_shrink<TileSm90::PRODUCER_REGISTERS>();
        if (threadIdx.x == 0) produce(shared, walk, chunks, operand_map, weight_map);
    } else {
        registers_grow<TileSm90::CONSUMER_REGISTERS>();
        for (int n = warpgroup - 1; n < walk.turns(); n += 2) {
            const Turn turn = walk.turn(n);
            AccumulatorsSm90 d;
            epilogue.begin(turn);
            multiply(d, shared, n, turn, chunks);
            epilogue.end(d, turn);
        }
    }
}
