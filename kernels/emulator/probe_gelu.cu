// GELU in fp32, for the emulator's tests: the kernels round it to bf16 before it can be seen.
#include "linear.cuh"

struct Gelu {
    const float* in;
    float* out;
    int count;
};

struct GeluLaunch {
    static constexpr int THREADS = 128, SHARED_BYTES = 0, MIN_BLOCKS = 1, BM = 1, BN = 1;
};

DEVICE void probe_gelu_body(const Gelu& p) {
    for (int i = int(threadIdx.x); i < p.count; i += GeluLaunch::THREADS) p.out[i] = gelu(p.in[i]);
}

KERNEL(probe_gelu, Gelu, GeluLaunch, probe_gelu_body)
