// The encoder's stream at its start: stream[t] = LayerNorm(table[ids[t]] + places[positions[t]]), with its bf16 copy.
//
// A warp makes a row, of at most 1024 columns; ceil(T/8) blocks of 256 threads, four an SM: 63 registers for
// sm_80, 64 for sm_90a (NVRTC 13.0). No shared memory.
//
// Floor for MiniLM-L6 (C = 384) on an H100 at 3.0 TB/s (arithmetic): 772 B read, 2,304 B written a token, 1.03 ns; the
// places stay in L2. No product.
#include "row.cuh"

DEVICE void bert_embed_body(const BertEmbed& p) {
    const int t = RowLaunch::row();
    if (t >= p.rows) return;
    const bf16* const word = p.table + size_t(p.ids[t]) * p.width;
    Row row;
    row.each(p.width, [&](float(&x)[4], int column) {
        const uint2 words = *reinterpret_cast<const uint2*>(word + column);
        x[0] = unpack_low(words.x), x[1] = unpack_high(words.x);
        x[2] = unpack_low(words.y), x[3] = unpack_high(words.y);
    });
    row.add(p.places + size_t(p.positions[t]) * p.width, p.width);
    const size_t at = size_t(t) * p.width;
    row.store_normed(p.gain, p.bias, p.epsilon, p.channels, p.width, p.stream + at, p.operand + at);
}

KERNEL(bert_embed, BertEmbed, RowLaunch, bert_embed_body)
