// Attention of packed documents, with H/G query heads to each key/value head:
//
//     out[t, h] = sum over s of w[s] v[s, g] / sum over s of w[s],  w[s] = 2^(scale q[t, h]·k[s, g] - m[t, h])
//
// where g = h / (H/G), scale = log2(e)/sqrt(D), s and t are rows of one document (s <= t where it is causal), and m is a
// reference near the largest exponent so far: when it grows, what was summed before shrinks with it. Weights are at most
// 2^8, whatever the scores.
//
// Tile: BM / (H/G) queries of a document with the H/G heads that share a key head, stacked into the rows of one M tile:
// row r is query r / (H/G), head r % (H/G). Keys and values are so read once for all their heads. Tiles start at the
// document's own first row, and so do the steps over its keys: the order of every sum follows from the document alone.
//
// Four warps own 16 or 32 rows each and share the keys and values of a step, in two stages. Keys and values land as groups
// of their own, so that scores start while values are in flight. Scores become weights, and these bf16 operands, in
// registers: the accumulators of two products of 8 columns are the operand of one of depth 16. Rows of shared memory are
// D + 8 wide, an odd number of 16-byte pieces: the eight rows that an ldmatrix reads lie in different banks, and at
// offsets known when compiled, which a swizzle's are not.
//
// A document of at most 32 rows leaves three of the four warps without a query. Where all its rows are seen, D is at most
// 96 and all heads of a key head fit into 32 rows, the block of every fourth key head therefore takes four of them, a warp
// each, and the blocks between do nothing: grid and work list do not change, and which way a document goes follows from
// its own length.
#pragma once
#include "ptx.cuh"
#include "shapes.cuh"

template <int D> struct AttentionLaunch {
    static_assert(D % 16 == 0, "products are 16 deep");
    static constexpr int WIDTH = D;
    static constexpr int WARPS = 4;
    static constexpr int BANDS = D <= 128 ? 2 : 1; // of 16 rows, of a warp: keys are read from shared memory once for two
    static constexpr int KEYS = D <= 96 ? 64 : 32;
    static constexpr bool RESIDENT = D <= 80; // queries stay in registers; else they are read again each step
    static constexpr int LD = D + 8;

    static constexpr int BM = WARPS * BANDS * 16;
    static constexpr int BN = KEYS;
    static constexpr int THREADS = WARPS * 32;
    static constexpr int SHARED_BYTES = (BM + 4 * KEYS) * LD * 2;
    static constexpr int MIN_BLOCKS = D <= 32 ? 3 : 2;

    DEVICE static int thread() { return threadIdx.x; }
};

// What one warp takes by itself of a document of at most KEYS rows: the block's memory is enough for one of its heads a
// warp.
template <int D> struct ShortAttention {
    static constexpr int WIDTH = D, BANDS = 2, KEYS = 32;
    static constexpr bool RESIDENT = AttentionLaunch<D>::RESIDENT;
    static constexpr int LD = AttentionLaunch<D>::LD;
    static constexpr int BM = BANDS * 16, THREADS = 32;
    static constexpr int SHARED_BYTES = (BM + 2 * KEYS) * LD * 2;
    static constexpr bool FITS = AttentionLaunch<D>::WARPS * SHARED_BYTES <= AttentionLaunch<D>::SHARED_BYTES;

    DEVICE static int thread() { return threadIdx.x % 32; }
};

// The share of the work of one block, or of one warp, as Launch says: some queries of a document, all heads of one key
// head. Queries see the keys before them and their own when CAUSAL, else all of their document.
template <class Launch, bool CAUSAL> struct AttentionTile {
    static constexpr int D = Launch::WIDTH;

    const bf16* document; // its first row of qkv
    bf16* out;            // the tile's first query
    int ld, ld_out, first, group, reciprocal;
    int query_column, key_column, value_column;
    int rows; // of the M tile that hold a query
    int keys; // of the document that the tile sees

    // `work` is the document's first row, its length and the tile's first query.
    DEVICE AttentionTile(const Attention& p, const uint4& work, int kv_head)
        : document(p.qkv + size_t(work.x) * p.ld), ld(p.ld), ld_out(p.ld_out), first(work.z), group(p.heads / p.kv_heads),
          reciprocal(65535 / group + 1), query_column(kv_head * group * D), key_column((p.heads + kv_head) * D),
          value_column((p.heads + p.kv_heads + kv_head) * D) {
        const int queries = min(Launch::BM / group, int(work.y) - first);
        rows = queries * group;
        keys = CAUSAL ? first + queries : int(work.y);
        out = p.out + size_t(work.x + first) * ld_out + query_column;
    }

    // r / group, exact for r and group up to 256: the product is too large by less than r / 256.
    DEVICE int query_of(int r) const { return r * reciprocal >> 16; }

    // The last key that the query of row r sees.
    DEVICE int last_key(int r) const { return CAUSAL ? first + query_of(r) : keys - 1; }

    // The first step with a key that a query of the tile does not see.
    DEVICE int first_masked() const { return (last_key(0) + 1) / Launch::KEYS; }

    // Rows that hold no query are zeros, and so are their scores.
    DEVICE void load_queries(bf16* to) const {
        const bf16* from = document + size_t(first) * ld + query_column;
        copy_rows<Launch::BM>(to, [&](int r, int c) {
            const int query = query_of(r);
            return from + query * ld + (r - query * group) * D + c;
        }, rows);
    }

    // A step's rows of keys or of values. What no query of the tile may see is zero, so that it weighs nothing.
    DEVICE void load_step(bf16* to, int column, int step) const {
        const bf16* from = document + column + size_t(step * Launch::KEYS) * ld;
        copy_rows<Launch::KEYS>(to, [&](int r, int c) { return from + r * ld + c; }, keys - step * Launch::KEYS);
    }

    // Starts copying rows into shared memory, 16 bytes at a time; rows from `end` on become zeros.
    template <int ROWS, class From> DEVICE void copy_rows(bf16* to, From from, int end) const {
        constexpr int PIECES = D / 8;
        static_assert(ROWS * PIECES % Launch::THREADS == 0, "every thread copies as much");
#pragma unroll
        for (int j = 0; j < ROWS * PIECES / Launch::THREADS; j++) {
            const int i = Launch::thread() + j * Launch::THREADS, r = i / PIECES, c = i % PIECES * 8;
            cp_async16(smem_addr(to + r * Launch::LD + c), from(r, c), r < end);
        }
    }
};

// A warp's bands of 16 rows: queries, running maxima and sums, and weighted values. A thread holds rows lane / 4 and
// lane / 4 + 8 of each band; its sums are over its own columns until the end.
template <class Launch, bool CAUSAL> struct AttentionWarp {
    static constexpr int D = Launch::WIDTH, BANDS = Launch::BANDS, LD = Launch::LD;
    static constexpr float SLACK = 8.f;
    using Scores = float[BANDS][Launch::KEYS / 8][4];

    const AttentionTile<Launch, CAUSAL>& tile;
    bf16* const own;  // the warp's rows of queries in shared memory
    const int row0;   // its first row of the M tile
    const int lane;
    uint32_t resident[Launch::RESIDENT ? D / 16 : 1][BANDS][4];
    float out[BANDS][D / 8][4] = {};
    float reference[BANDS][2], sum[BANDS][2] = {};

    DEVICE AttentionWarp(const AttentionTile<Launch, CAUSAL>& tile, bf16* queries)
        : tile(tile), own(queries + Launch::thread() / 32 * BANDS * 16 * LD),
          row0(Launch::thread() / 32 * BANDS * 16), lane(threadIdx.x % 32) {
#pragma unroll
        for (int band = 0; band < BANDS; band++) reference[band][0] = reference[band][1] = -INFINITY;
        if constexpr (Launch::RESIDENT) {
#pragma unroll
            for (int k = 0; k < D / 16; k++) read_queries(resident[k], k);
        }
    }

    DEVICE void read_queries(uint32_t (&a)[BANDS][4], int k) const {
        const uint32_t corner = smem_addr(own + lane % 16 * LD + lane / 16 * 8);
#pragma unroll
        for (int band = 0; band < BANDS; band++) ldmatrix_x4(a[band], corner + (band * 16 * LD + k * 16) * 2);
    }

    // Row `half` of a band that this thread holds, within the M tile.
    DEVICE int row(int band, int half) const { return row0 + band * 16 + half * 8 + lane / 4; }

    // Whether a query of this warp may see a key of the step; where none may, the step changes nothing.
    DEVICE bool sees(int step) const {
        const int end = min(row0 + BANDS * 16, tile.rows);
        return row0 < end && tile.last_key(end - 1) >= step * Launch::KEYS;
    }

    DEVICE void multiply_keys(Scores& s, const bf16* keys) const {
        const uint32_t corner = smem_addr(keys + (lane % 8 + lane / 16 * 8) * LD + lane / 8 % 2 * 8);
#pragma unroll
        for (int band = 0; band < BANDS; band++)
#pragma unroll
            for (int n = 0; n < Launch::KEYS / 8; n++) s[band][n][0] = s[band][n][1] = s[band][n][2] = s[band][n][3] = 0.f;
#pragma unroll
        for (int k = 0; k < D / 16; k++) {
            uint32_t again[BANDS][4];
            if constexpr (!Launch::RESIDENT) read_queries(again, k);
            const auto& a = Launch::RESIDENT ? resident[Launch::RESIDENT ? k : 0] : again;
#pragma unroll
            for (int n = 0; n < Launch::KEYS / 8; n += 2) {
                uint32_t b[4];
                ldmatrix_x4(b, corner + (n * 8 * LD + k * 16) * 2);
#pragma unroll
                for (int band = 0; band < BANDS; band++) {
                    mma_16816(s[band][n], a[band], b[0], b[1]);
                    mma_16816(s[band][n + 1], a[band], b[2], b[3]);
                }
            }
        }
    }

    // Keys that a query does not see get the score -inf.
    DEVICE void hide_unseen(Scores& s, int step) const {
#pragma unroll
        for (int band = 0; band < BANDS; band++)
#pragma unroll
            for (int i = 0; i < 4; i++) {
                const int last = tile.last_key(row(band, i / 2)) - step * Launch::KEYS - lane % 4 * 2 - i % 2;
#pragma unroll
                for (int n = 0; n < Launch::KEYS / 8; n++)
                    if (n * 8 > last) s[band][n][i] = -INFINITY;
            }
    }

    // Scores to weights, relative to each row's reference: its largest score so far, or an older one that is at most SLACK
    // powers of two smaller. A reference moves seldom after the first step, and what was summed before shrinks only then.
    // Each row has seen a key by the end of the first step, so references are numbers.
    DEVICE void weigh(Scores& s, float scale) {
        float before[BANDS][2], steepest = 0.f;
        bool moved = false;
#pragma unroll
        for (int band = 0; band < BANDS; band++)
#pragma unroll
            for (int half = 0; half < 2; half++) {
                float& now = reference[band][half];
                const float most = highest(s[band], half);
                before[band][half] = now;
                if ((most - now) * scale > SLACK) now = most;
                moved |= now != before[band][half];
                steepest = fmaxf(steepest, fabsf(now * scale));
            }
        if (moved) shrink(before, scale);
        // Rounding a product this small moves a weight by less than 2^-14. Larger ones are rounded after subtracting, an
        // instruction a score more: then no weight passes 2^SLACK, whatever the scores.
        if (steepest < 1024.f)
            exponentiate(s, [&](float score, float now) { return fmaf(score, scale, -now * scale); });
        else
            exponentiate(s, [&](float score, float now) { return (score - now) * scale; });
    }

    DEVICE void shrink(const float (&before)[BANDS][2], float scale) {
#pragma unroll
        for (int band = 0; band < BANDS; band++)
#pragma unroll
            for (int half = 0; half < 2; half++) {
                const float factor = exp2_fast((before[band][half] - reference[band][half]) * scale);
                sum[band][half] *= factor;
#pragma unroll
                for (int n = 0; n < D / 8; n++) {
                    out[band][n][half * 2] *= factor;
                    out[band][n][half * 2 + 1] *= factor;
                }
            }
    }

    template <class Exponent> DEVICE void exponentiate(Scores& s, Exponent exponent) {
#pragma unroll
        for (int band = 0; band < BANDS; band++)
#pragma unroll
            for (int half = 0; half < 2; half++)
#pragma unroll
                for (int n = 0; n < Launch::KEYS / 8; n++)
#pragma unroll
                    for (int j = half * 2; j < half * 2 + 2; j++) {
                        s[band][n][j] = exp2_fast(exponent(s[band][n][j], reference[band][half]));
                        sum[band][half] += s[band][n][j];
                    }
    }

    // The largest score of a row, which four lanes share.
    DEVICE static float highest(const float (&s)[Launch::KEYS / 8][4], int half) {
        float most = s[0][half * 2];
#pragma unroll
        for (int n = 0; n < Launch::KEYS / 8; n++) most = fmaxf(most, fmaxf(s[n][half * 2], s[n][half * 2 + 1]));
        most = fmaxf(most, shuffle_xor(most, 1));
        return fmaxf(most, shuffle_xor(most, 2));
    }

    DEVICE void add_values(const Scores& s, const bf16* values) {
        const uint32_t corner = smem_addr(values + lane % 16 * LD + lane / 16 * 8);
#pragma unroll
        for (int k = 0; k < Launch::KEYS / 16; k++) {
            uint32_t a[BANDS][4];
#pragma unroll
            for (int band = 0; band < BANDS; band++)
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    const float(&pair)[4] = s[band][k * 2 + i / 2];
                    a[band][i] = pack_bf16(pair[i % 2 * 2], pair[i % 2 * 2 + 1]);
                }
#pragma unroll
            for (int n = 0; n < D / 8; n += 2) {
                uint32_t b[4];
                ldmatrix_x4_trans(b, corner + (k * 16 * LD + n * 8) * 2);
#pragma unroll
                for (int band = 0; band < BANDS; band++) {
                    mma_16816(out[band][n], a[band], b[0], b[1]);
                    mma_16816(out[band][n + 1], a[band], b[2], b[3]);
                }
            }
        }
    }

    // Divides by the sums and writes 16 bytes a thread, through the warp's rows of queries, which are not needed any more.
    DEVICE void store() {
#pragma unroll
        for (int band = 0; band < BANDS; band++)
#pragma unroll
            for (int half = 0; half < 2; half++) {
                float total = sum[band][half];
                total += shuffle_xor(total, 1);
                total += shuffle_xor(total, 2);
                const float inverse = reciprocal_fast(total);
                bf16* to = own + (band * 16 + half * 8 + lane / 4) * LD + lane % 4 * 2;
#pragma unroll
                for (int n = 0; n < D / 8; n++)
                    *reinterpret_cast<uint32_t*>(to + n * 8) =
                        pack_bf16(out[band][n][half * 2] * inverse, out[band][n][half * 2 + 1] * inverse);
            }
        __syncwarp();
        for (int i = lane; i < BANDS * 16 * (D / 8); i += 32) {
            const int r = i / (D / 8), c = i % (D / 8) * 8, query = tile.query_of(row0 + r);
            if (row0 + r >= tile.rows) continue;
            bf16* to = tile.out + size_t(query) * tile.ld_out + (row0 + r - query * tile.group) * D + c;
            *reinterpret_cast<uint4*>(to) = *reinterpret_cast<const uint4*>(own + r * LD + c);
        }
    }
};

// A document of at most KEYS rows, whose queries are one band of a warp: each warp of the block takes a head of its own, so
// that none idles and no warp waits for another.
template <int D> DEVICE void attention_short(const Attention& p, const uint4& work, int first_head) {
    using Launch = ShortAttention<D>;
    SMEM_DYNAMIC(raw);
    const int warp = threadIdx.x / 32, head = first_head + warp;
    if (head >= p.kv_heads) return;
    bf16* const queries = reinterpret_cast<bf16*>(raw + warp * Launch::SHARED_BYTES);
    bf16* const keys = queries + Launch::BM * Launch::LD;
    bf16* const values = keys + Launch::KEYS * Launch::LD;

    const AttentionTile<Launch, false> tile(p, work, head);
    tile.load_queries(queries);
    tile.load_step(keys, tile.key_column, 0);
    tile.load_step(values, tile.value_column, 0);
    cp_commit();
    cp_wait<0>(); // the copies of this lane, and behind the barrier those of the others
    __syncwarp();
    AttentionWarp<Launch, false> own(tile, queries);
    typename AttentionWarp<Launch, false>::Scores scores;
    own.multiply_keys(scores, keys);
    if (tile.first_masked() == 0) own.hide_unseen(scores, 0);
    own.weigh(scores, p.scale);
    own.add_values(scores, values);
    own.store();
}

template <int D, bool CAUSAL> DEVICE void attention(const Attention& p) {
    using Launch = AttentionLaunch<D>;
    constexpr int STAGE = Launch::KEYS * Launch::LD;
    SMEM_DYNAMIC(raw);
    bf16* const queries = reinterpret_cast<bf16*>(raw);
    bf16* const keys = queries + Launch::BM * Launch::LD;
    bf16* const values = keys + 2 * STAGE;

    // Blocks start in this order: all key heads of the longest tile first.
    const uint32_t block = blockIdx.y * gridDim.x + blockIdx.x, kv_head = block % p.kv_heads;
    const uint4 work = p.work[block / p.kv_heads];
    if constexpr (!CAUSAL && ShortAttention<D>::FITS) {
        using Short = ShortAttention<D>;
        if (int(work.y) <= Short::KEYS && int(work.y) * (p.heads / p.kv_heads) <= Short::BM) {
            if (kv_head % Launch::WARPS == 0) attention_short<D>(p, work, kv_head);
            return; // the head is another block's
        }
    }
    const AttentionTile<Launch, CAUSAL> tile(p, work, kv_head);
    const int steps = ceil_div(tile.keys, Launch::KEYS), first_masked = tile.first_masked();

    tile.load_queries(queries);
    tile.load_step(keys, tile.key_column, 0);
    cp_commit();
    tile.load_step(values, tile.value_column, 0);
    cp_commit();
    cp_wait<1>();
    __syncthreads();
    AttentionWarp<Launch, CAUSAL> warp(tile, queries);

    for (int step = 0; step < steps; step++) {
        const int here = step % 2 * STAGE, next = STAGE - here;
        cp_wait<1>(); // the keys have landed; and behind the barrier nobody reads the other stage any more
        __syncthreads();
        if (step + 1 < steps) tile.load_step(keys + next, tile.key_column, step + 1);
        cp_commit();
        if (step + 1 < steps) tile.load_step(values + next, tile.value_column, step + 1);
        cp_commit();

        const bool seen = warp.sees(step);
        typename AttentionWarp<Launch, CAUSAL>::Scores scores;
        if (seen) {
            warp.multiply_keys(scores, keys + here);
            if (step >= first_masked) warp.hide_unseen(scores, step);
            warp.weigh(scores, p.scale);
        }
        cp_wait<2>(); // the values too
        __syncthreads();
        if (seen) warp.add_values(scores, values + here);
    }
    warp.store();
}
