// codes[d, i] = fold_i(⌊hash_{n·i}(x)⌋, ..., ⌊hash_{n·i + n - 1}(x)⌋) of embedding x, hash_j(x) = w_j · x + b_j: the
// same integers as kernels/src/lsh gives, to the bit. So a hash is one chain of fused multiply-adds in fp32, the channels
// in order, and only hashes and documents run side by side.
//
// A block takes 32 documents and as many whole rows as have 128 hashes; a thread is a hash, with the sums of all its
// documents; 128 threads; grid (ceil(documents/32), ceil(R / floor(128/n))). Embeddings pass through shared memory in
// chunks of 128 channels, a channel's documents side by side, so that four of them are one load for the whole warp;
// then threads fold rows. 34,816 B of shared memory; 98 registers for sm_80, 102 for sm_90a (NVRTC 13.0): four blocks an
// SM.
//
// Floors for 384 channels and 128 rows of 4 on an H100 by arithmetic, a document: 196,608 multiply-adds, 5.9 ns at 67
// TFLOP/s; directions are read for every 32 documents, 24.6 kB out of L2, 4.5 ns at 5.5 TB/s; 1.8 kB of device memory,
// 0.6 ns. The multiply-adds bound it: half a percent of what a document of 32 tokens takes.
#include "shapes.cuh"

struct CodesLaunch {
    static constexpr int THREADS = 128, MIN_BLOCKS = 4;
    static constexpr int BM = 32, BN = THREADS;  // documents and hashes of a block
    static constexpr int CHUNK = THREADS;        // channels that are in shared memory at a time
    static constexpr int LD = BM + 4;            // rows 16-byte aligned, not all in the same banks
    static constexpr int SHARED_BYTES = (CHUNK * LD + BM * BN) * 4;
};

// Hashes whose numbers of a channel lie side by side.
constexpr int PANEL = 16;

// The documents and rows of a block.
struct CodesTile {
    const Codes& p;
    int document, row, rows;  // first document, first row, how many rows

    DEVICE explicit CodesTile(const Codes& codes)
        : p(codes), document(int(blockIdx.x) * CodesLaunch::BM),
          row(int(blockIdx.y) * (CodesLaunch::BN / p.concatenated)),
          rows(min(CodesLaunch::BN / p.concatenated, p.rows - row)) {}

    // The hash of this thread; threads that have none of their own repeat the first.
    DEVICE int hash() const {
        const int own = int(threadIdx.x);
        return row * p.concatenated + (own < rows * p.concatenated ? own : 0);
    }

    // Copies channels [base, base + CHUNK) of the documents to shared memory, transposed; zeros for what is not there.
    DEVICE void load(float* chunk, int base) const {
        const int channel = base + int(threadIdx.x);
#pragma unroll 8
        for (int d = 0; d < CodesLaunch::BM; d++) {
            const bool valid = document + d < p.documents && channel < p.channels;
            const float* const from = p.embeddings + size_t(document + d) * p.channels + channel;
            chunk[threadIdx.x * CodesLaunch::LD + d] = valid ? *from : 0.f;
        }
    }

    // Takes the channels of a chunk into the sums of this thread's hash.
    DEVICE void add(float (&sums)[CodesLaunch::BM], const float* chunk, int base) const {
        const int h = hash(), end = min(CodesLaunch::CHUNK, p.channels - base);
        const float* const w = p.directions + (size_t(h / PANEL) * p.channels + base) * PANEL + h % PANEL;
#pragma unroll 4
        for (int c = 0; c < end; c++) {
            const float direction = w[c * PANEL];
#pragma unroll
            for (int d = 0; d < CodesLaunch::BM; d += 4) {
                const float4 x = *reinterpret_cast<const float4*>(chunk + c * CodesLaunch::LD + d);
                sums[d] = fused(direction, x.x, sums[d]), sums[d + 1] = fused(direction, x.y, sums[d + 1]);
                sums[d + 2] = fused(direction, x.z, sums[d + 2]), sums[d + 3] = fused(direction, x.w, sums[d + 3]);
            }
        }
    }

    // The cell of row `row + r` for a document's integers: (Σ factor · integer + addend mod 2^64) / 2^32 · B / 2^32.
    DEVICE uint16_t fold(const int* integers, int r) const {
        const uint64_t* const factors = p.factors + size_t(row + r) * p.concatenated;
        uint64_t sum = p.addends[row + r];
        for (int k = 0; k < p.concatenated; k++)
            sum += factors[k] * uint64_t(uint32_t(integers[r * p.concatenated + k]));
        return uint16_t((sum >> 32) * uint64_t(p.cells) >> 32);
    }
};

DEVICE void codes_body(const Codes& p) {
    using Launch = CodesLaunch;
    SMEM_DYNAMIC(shared);
    float* const chunk = reinterpret_cast<float*>(shared);                   // [CHUNK, LD]
    int* const integers = reinterpret_cast<int*>(chunk + Launch::CHUNK * Launch::LD);  // [BM, BN]
    const CodesTile tile(p);

    float sums[Launch::BM];
    const float offset = p.offsets[tile.hash()];
#pragma unroll
    for (float& sum : sums) sum = offset;
    for (int base = 0; base < p.channels; base += Launch::CHUNK) {
        tile.load(chunk, base);
        __syncthreads();
        tile.add(sums, chunk, base);
        __syncthreads();
    }
#pragma unroll
    for (int d = 0; d < Launch::BM; d++) integers[d * Launch::BN + int(threadIdx.x)] = floor_to_int(sums[d]);
    __syncthreads();
    const int documents = min(Launch::BM, p.documents - tile.document);
    for (int i = int(threadIdx.x); i < documents * tile.rows; i += Launch::THREADS) {
        const int d = i / tile.rows, r = i % tile.rows;
        p.codes[size_t(tile.document + d) * p.rows + tile.row + r] = tile.fold(integers + d * Launch::BN, r);
    }
}

KERNEL(codes, Codes, CodesLaunch, codes_body)
