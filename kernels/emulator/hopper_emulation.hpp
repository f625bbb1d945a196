// The calls behind the wrappers of hopper.cuh: mbarriers, TMA loads and warpgroup products. Addresses are those of
// smem_addr. Under a late landing a load lands only when no thread can go on otherwise, and a product reads its
// operands only when its group is waited for and every other thread has gone as far as it can; under an early one both
// happen at once.
#pragma once
#include <cstdint>

struct CUtensorMap;

namespace emulator {

void mbarrier_init(uint32_t barrier, int arrivals);
// Shows the barriers that this thread has initialised to the TMA.
void mbarrier_init_fence();
// Arrives; the phase waits for `bytes` of loads as well.
void mbarrier_arrive(uint32_t barrier, int bytes);
// Returns when the phase of this parity is over.
void mbarrier_wait(uint32_t barrier, uint32_t parity);

// Loads the map's box at (column, row), 128-byte swizzled, zeros outside the tensor.
void tma_load(uint32_t to, const CUtensorMap* map, int column, int row, uint32_t barrier);

// What the host's cuTensorMapEncodeTiled does for a row-major bf16 tensor with the 128-byte swizzle. Null when the
// arguments are fit for the hardware, else what is wrong.
const char* make_tensor_map(CUtensorMap* map, const void* base, uint64_t rows, uint64_t columns, uint64_t row_bytes,
                            uint32_t box_rows, uint32_t box_columns);

// d[64 x columns] (+)= a[64x16] b[columns x 16]ᵀ, of which this warp does its 16 rows; both operands K-major in shared
// memory with the 128-byte swizzle, given by their descriptors. `d` is this thread's columns / 2 accumulators, and must
// stay where it is until the group is waited for.
void wgmma(float* d, int columns, uint64_t a, uint64_t b, bool accumulate);
void wgmma_fence();
void wgmma_commit();
void wgmma_wait(int groups);

}  // namespace emulator
