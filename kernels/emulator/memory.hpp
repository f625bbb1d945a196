// Global memory, as reports see it.
#pragma once
#include <string>

namespace emulator {

// Where an address lies in or beside an allocation; empty when it lies near none.
std::string describe_global(const void* address);

}  // namespace emulator
