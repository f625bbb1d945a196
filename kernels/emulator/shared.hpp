// The mapping that a block's shared memory lies in.
#pragma once
#include <cstdint>

namespace emulator {

// Room for the most that a block may have, between bytes that cannot be touched.
unsigned char* map_shared();

// Where a block's shared memory of `bytes` bytes starts, a multiple of 1024; all of it and around it is poisoned.
unsigned char* poison_shared(unsigned char* region, uint32_t bytes);

// False when something was written just before or just after it.
bool shared_margins_are_poison(const unsigned char* region, uint32_t bytes);

}  // namespace emulator
