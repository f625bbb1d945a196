// Causal attention of packed documents: attention.cuh, where a row sees itself and the rows before it.
//
//     D                         16     32     64     80     96    128    256
//     BM, rows                 128    128    128    128    128    128     64
//     BN, keys of a step        64     64     64     64     64     32     32
//     shared bytes           18432  30720  55296  67584  79872  69632 101376   (sm_86 and sm_89 allow 101376)
//     registers, sm_80         143    165    245    255    255    246    254   (no spills; two blocks an SM allow 255,
//     registers, sm_90a        143    168    245    255    255    246    254   three 168; NVRTC 13.0)
//
// Limit, by arithmetic and not measured, of a token in a layer of SmolLM2-135M (H = 9, G = 3, D = 64) in documents of 512:
//     products      4·D·H·(T + 1)/2 = 590,976 operations; 688,128 with the diagonal tiles' unused half (299 keys a row,
//                   not 256.5): 0.86 ns at an H100's 798 TFLOP/s, 1.4 ns at the 5/8 of it that mma.sync gets
//     memory        2·D·(H + 2G + H) = 3,072 bytes: 1.02 ns at 3.0 TB/s; and 6,144 bytes of keys and values from L2
//     exponentials  H·299 = 2,688: 0.73 ns at 16 a cycle on 132 SMs at 1.755 GHz
//     instructions  625 a warp's step of 64 keys on sm_90a, 128 of them products of 6.4 cycles at that rate: 820 cycles
// So the products bound it, and instructions follow closely: with two warps a scheduler the two overlap only in part.
// Thirty layers of 1.4 ns are 42 ns, of the 360 ns a token that the whole model takes at its limit.
#include "attention.cuh"

KERNEL(attention_16, Attention, AttentionLaunch<16>, attention<16, true>)
KERNEL(attention_32, Attention, AttentionLaunch<32>, attention<32, true>)
KERNEL(attention_64, Attention, AttentionLaunch<64>, attention<64, true>)
KERNEL(attention_80, Attention, AttentionLaunch<80>, attention<80, true>)
KERNEL(attention_96, Attention, AttentionLaunch<96>, attention<96, true>)
KERNEL(attention_128, Attention, AttentionLaunch<128>, attention<128, true>)
KERNEL(attention_256, Attention, AttentionLaunch<256>, attention<256, true>)
