// A block's shared memory: exactly the bytes that the launch declares are to be used. It is poisoned before every
// block, it ends within 1 KB of a page that cannot be touched, and the bytes between must still be poison afterwards.
#include "shared.hpp"

#include <sys/mman.h>

#include <cstdlib>

#include "machine.hpp"

namespace emulator {

static constexpr size_t PAGE = 4096, REGION = (SHARED_MAX + PAGE - 1) / PAGE * PAGE, GUARD = 1 << 20;

unsigned char* map_shared() {
    void* mapped = mmap(nullptr, REGION + 2 * GUARD, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) abort();
    unsigned char* region = static_cast<unsigned char*>(mapped) + GUARD;
    mprotect(region, REGION, PROT_READ | PROT_WRITE);
    return region;
}

unsigned char* poison_shared(unsigned char* region, uint32_t bytes) {
    const size_t whole = (bytes + 1023) / 1024 * 1024;
    memset(region + REGION - whole - (whole < REGION ? 1024 : 0), POISON, whole + (whole < REGION ? 1024 : 0));
    return region + REGION - whole;
}

bool shared_margins_are_poison(const unsigned char* region, uint32_t bytes) {
    const size_t whole = (bytes + 1023) / 1024 * 1024;
    const unsigned char *start = region + REGION - whole, *end = region + REGION;
    for (const unsigned char* p = start + bytes; p < end; p++)
        if (*p != POISON) return false;
    for (const unsigned char* p = start - (whole < REGION ? 1024 : 0); p < start; p++)
        if (*p != POISON) return false;
    return true;
}

}  // namespace emulator
