// What each kernel is launched with: one struct by value, plain data, the same for the sm_80 and the sm_90a version.
//
// Shape legend: T rows (tokens of a batch), C channels of the residual stream, F channels inside the feed-forward
// layer, H query heads, G key/value heads, D channels of a head, V vocabulary. A suffix p means padded with zeros to
// a multiple of 64. Every row of a weight is contiguous along the inner dimension; its rows are padded with zeros to
// whole tiles. Pointers are 16-byte aligned, and so is every row.
//
// The residual stream is fp32. Products read its bf16 copy, not normalised: RMSNorm's gains are folded into the weights
// and its scale, 1/sqrt(sum of squares / C + epsilon), multiplies the accumulators. `squares` holds that sum in slices
// of 64 columns, [T, Cp/64], written by whoever writes the stream.
#pragma once
#include "ptx.cuh"

struct Embed {
    const uint32_t* ids;  // [T], below V
    const bf16* table;    // [V, Cp]
    float* stream;        // [T, Cp]
    bf16* operand;        // [T, Cp]
    float* squares;       // [T, Cp/64]
    int rows, width;      // T, Cp
};

// A norm and the product behind it: queries, keys and values, or gate and up.
struct Projection {
    const bf16* operand;               // [T, Cp]
    const bf16* weight;                // [N to whole tiles, Cp]
    bf16* out;                         // [T, ld_out]
    const float* squares;              // [T, Cp/64]
    const float *cosines, *sines;      // [positions, D/2]; qkv only
    const uint32_t* positions;         // [T], of each row in its document; qkv only
    float norm_epsilon;
    int channels;                      // C, what the mean is over
    int rows, inner, columns, ld_out;  // T, Cp, N, distance of rows of `out`
    int rotated, head_width;           // (H+G)·D columns turn with their position, D; qkv only
};

// A product that is added to the residual stream: attention's output projection, and down.
struct Residual {
    const bf16* operand;     // [T, inner]
    const bf16* weight;      // [Cp to whole tiles, inner]
    float* stream;           // [T, Cp], read and written
    bf16* operand_out;       // [T, Cp], the stream's copy
    float* squares;          // [T, Cp/64], of the stream
    int rows, inner, width;  // T, a multiple of 64, Cp
};

struct Attention {
    const bf16* qkv;    // [T, ld]: H query heads, G key heads, G value heads, of D columns each
    bf16* out;          // [T, ld_out]
    const uint4* work;  // a tile each: the document's first row, its length, the tile's first query in it, 0
    float scale;        // log2(e)/sqrt(D)
    int heads, kv_heads, head_width, ld, ld_out;
};

// What a part of the vocabulary says of a row. Logits are in units of log2: multiplied by log2(e).
struct Partial {
    float max;
    float sum;           // of 2^(logit - max)
    float target_logit;  // 0 where the target lies in another part
};

struct Head {
    const bf16* operand;            // [T, Cp]
    const bf16* weight;             // [V to whole tiles, Cp], the final norm's gains folded in
    const float* squares;           // [T, Cp/64]
    const uint32_t* targets;        // [T], below V
    Partial* partial;               // [T, splits]
    float norm_epsilon;
    int channels;                   // C
    int rows, inner, vocabulary;    // T, Cp, V
    int splits, split_columns;      // split s is the tokens from s·split_columns on, a multiple of the tile
};

struct Documents {
    const Partial* partial;   // [T, splits]
    const uint32_t* bounds;   // [documents + 1], first row of each
    double* nll_nats;         // [documents]
    int documents, splits;
};

// ---- the encoder (BERT, arXiv 1810.04805) --------------------------------------------------------------------------
//
// LayerNorm comes after each addition to the stream, so the stream itself is normed: nothing is folded into weights.
// Gains, biases and places are padded with zeros to Cp, which keeps the stream's padding zero.

struct BertEmbed {
    const uint32_t* ids;           // [T], below V
    const bf16* table;             // [V, Cp]
    const float* places;           // [positions, Cp], the embedding of token type 0 added
    const uint32_t* positions;     // [T], of each row in its document
    const float *gain, *bias;      // [Cp]
    float* stream;                 // [T, Cp]
    bf16* operand;                 // [T, Cp], the stream's copy
    float epsilon;
    int rows, channels, width;     // T, C, Cp
};

// A projection with its bias: queries, keys and values, or the feed-forward layer's first with its GELU.
struct Linear {
    const bf16* operand;               // [T, inner]
    const bf16* weight;                // [N to whole tiles, inner]
    const float* bias;                 // [N to a multiple of 64]
    bf16* out;                         // [T, ld_out]
    int rows, inner, columns, ld_out;  // T, a multiple of 64, N, distance of rows of `out`
};

// A projection with its bias that is added to the stream: attention's output, or the feed-forward layer's second.
struct LinearAdd {
    const bf16* operand;     // [T, inner]
    const bf16* weight;      // [Cp to whole tiles, inner]
    const float* bias;       // [Cp]
    float* stream;           // [T, Cp], read and written
    int rows, inner, width;  // T, a multiple of 64, Cp
};

struct LayerNorm {
    float* stream;              // [T, Cp], normed in place
    bf16* operand;              // [T, Cp], the stream's copy
    const float *gain, *bias;   // [Cp]
    float epsilon;
    int rows, channels, width;  // T, C, Cp
};

struct Pool {
    const float* stream;             // [T, Cp]
    const uint32_t* bounds;          // [documents + 1], first row of each
    float* embeddings;               // [documents, C]
    float* checks;                   // [documents], 0 where all channels are finite, else NaN
    int documents, channels, width;  // C, Cp
    int first_token;                 // 1: a document's first row; 0: the mean of its rows
    int normalize;                   // 1: scaled to length 1
};

// Locality-sensitive hashes of embeddings, as kernels/src/lsh draws and defines them.
struct Codes {
    const float* embeddings;        // [documents, C]
    const float* directions;        // [hashes/16 rounded up, C, 16], over the buckets' width
    const float* offsets;           // [hashes to a multiple of 16], over the buckets' width
    const uint64_t* factors;        // [R, n], of the folding of each row
    const uint64_t* addends;        // [R]
    uint16_t* codes;                // [documents, R]
    int documents, channels;        // C
    int rows, concatenated, cells;  // R, n at most 16, B at most 65,536: row i folds hashes n·i to n·i + n - 1
};
