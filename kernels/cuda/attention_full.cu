// Attention of the encoder: attention.cuh, where every row of a document sees all of them. Tiles, stages and shared bytes
// are those of attention.cu. A file of its own, because a user's machine compiles what its model needs.
//
//     D                         16     32     64    128
//     registers, sm_80         142    166    254    255   (no spills; two blocks an SM allow 255, three 168;
//     registers, sm_90a        141    168    254    246   NVRTC 13.0)
//
// Limit, by arithmetic and not measured, of a token in a layer of MiniLM-L6 (H = G = 12, D = 32) in documents of 256:
//     products      4·D·H·T = 393,216 operations: 0.49 ns at an H100's 798 TFLOP/s, 0.79 ns at the 5/8 of it that mma.sync
//                   gets
//     memory        2·D·4·H = 3,072 bytes: 1.02 ns at 3.0 TB/s
//     exponentials  H·T = 3,072: 0.83 ns at 16 a cycle on 132 SMs at 1.755 GHz
// Memory bounds it where the projection's result does not stay in L2; with D = 32 exponentials then weigh more than
// products: a step of 64 keys is 512 cycles of a scheduler's special function unit and 410 of its tensor core. In a
// document of 32 rows three of a tile's four warps would have no query, and what shows is a block's latency: at 2.5 µs
// (assumed) and three blocks an SM 2.4 ns a token. There each warp takes a head of its own, which makes it 0.6 ns.
#include "attention.cuh"

KERNEL(attention_full_16, Attention, AttentionLaunch<16>, attention<16, false>)
KERNEL(attention_full_32, Attention, AttentionLaunch<32>, attention<32, false>)
KERNEL(attention_full_64, Attention, AttentionLaunch<64>, attention<64, false>)
KERNEL(attention_full_128, Attention, AttentionLaunch<128>, attention<128, false>)
