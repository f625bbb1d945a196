// Mbarriers as the TMA sees them.
#pragma once
#include "machine.hpp"

namespace emulator {

// The barrier at a shared address; fails when none was initialised there.
Mbarrier& mbarrier_at(Machine& machine, uint32_t address);

// Counts loaded bytes in.
void mbarrier_complete(Machine& machine, Mbarrier& barrier, int bytes);

}  // namespace emulator
