// The remaining calls of kernels, passed on to the machine of this host thread.
#include "machine.hpp"

namespace emulator {

const Index& thread_index() { return machine()->self().index; }
const Index& block_index() { return machine()->block; }
const Index& block_size() { return machine()->block_size; }
const Index& grid_size() { return machine()->grid; }

unsigned char* shared_memory() { return machine()->shared; }

uint32_t shared_address(const void* p) {
    Machine& m = *machine();
    const ptrdiff_t offset = static_cast<const unsigned char*>(p) - m.shared;
    if (offset < 0 || size_t(offset) > m.shared_bytes)
        m.fail("address " + std::to_string(offset) + " of " + std::to_string(m.shared_bytes) +
               " bytes of shared memory");
    return uint32_t(offset);
}

void copy_async(uint32_t to, const void* from, bool valid) { machine()->copy_async({0, to, from, valid}); }
void copy_commit() { machine()->self().copy_group++; }
void copy_wait(int groups) { machine()->copy_wait(uint32_t(groups)); }
void barrier(int id, int threads, bool wait) { machine()->barrier(uint32_t(id), uint32_t(threads), wait); }

}  // namespace emulator
