// nll_nats[d] = sum over the document's rows of ln(sum over the vocabulary of e^logit) - target's logit.
//
// A block is a document. Thread i takes rows i, i + 128, ... of it, merges the head's splits in order, and adds in
// double; then the 128 sums are added by a fixed tree. So the bits depend on the document's rows alone. 1 KiB of shared
// memory; an empty document gives 0.
//
// Floor (arithmetic): 12 B a row and split at 3.0 TB/s, 0.03 ns a token with 8 splits; in truth a launch and the
// latency of the longest document's rows over 128 threads.
#include "shapes.cuh"

struct DocumentsLaunch {
    static constexpr int THREADS = 128, SHARED_BYTES = THREADS * 8, MIN_BLOCKS = 1;
    static constexpr int BM = 1, BN = 1;  // documents that a block takes
};

constexpr double LN2 = 0.6931471805599453;

// A row's negative log-likelihood in units of log2.
DEVICE double row_bits(const Partial* partial, int splits) {
    float max = partial[0].max, target_logit = 0.f;
    for (int s = 0; s < splits; s++) {
        max = fmaxf(max, partial[s].max);
        target_logit += partial[s].target_logit;
    }
    double sum = 0.0;
    for (int s = 0; s < splits; s++) sum += double(partial[s].sum) * exp2(double(partial[s].max) - double(max));
    return double(max) + log2(sum) - double(target_logit);
}

DEVICE void documents_body(const Documents& p) {
    SMEM_DYNAMIC(shared);
    double* const sums = reinterpret_cast<double*>(shared);
    if (int(blockIdx.x) >= p.documents) return;
    const uint32_t end = p.bounds[blockIdx.x + 1];
    double bits = 0.0;
    for (uint32_t row = p.bounds[blockIdx.x] + threadIdx.x; row < end; row += DocumentsLaunch::THREADS)
        bits += row_bits(p.partial + size_t(row) * p.splits, p.splits);
    sums[threadIdx.x] = bits;
    for (uint32_t half = DocumentsLaunch::THREADS / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
    }
    if (threadIdx.x == 0) p.nll_nats[blockIdx.x] = sums[0] * LN2;
}

KERNEL(documents, Documents, DocumentsLaunch, documents_body)
