// Eight floats at once. The library is compiled for any computer of its kind; the products choose at load time.
#pragma once

namespace emulator {

typedef float Row __attribute__((vector_size(32)));

}  // namespace emulator

#ifdef __x86_64__
#define VECTORISED __attribute__((target_clones("avx2", "default")))
#else
#define VECTORISED
#endif
