// Global memory for kernels: every allocation lies between bytes that cannot be touched, ends (to 16 bytes) where they
// begin, and is filled with NaN.
#include "memory.hpp"

#include <sys/mman.h>

#include <cstdint>
#include <map>
#include <mutex>

#include "machine.hpp"

namespace emulator {

static constexpr size_t PAGE = 4096, GUARD = 1 << 20;

namespace {

struct Mapping {
    unsigned char *start, *allocation;
    size_t mapped_bytes, bytes;
};
std::mutex lock;

// By start of the mapping.
std::map<const unsigned char*, Mapping>& mappings() {
    static std::map<const unsigned char*, Mapping> all;
    return all;
}

// The mapping that holds `address`, its guards included, or null.
const Mapping* find(const void* address) {
    const auto* at = static_cast<const unsigned char*>(address);
    auto after = mappings().upper_bound(at);
    if (after == mappings().begin()) return nullptr;
    const Mapping& mapping = (--after)->second;
    return at < mapping.start + mapping.mapped_bytes ? &mapping : nullptr;
}

}  // namespace

void* allocate(size_t bytes) {
    const size_t rounded = (bytes + 15) / 16 * 16, pages = (rounded + PAGE - 1) / PAGE * PAGE;
    const size_t mapped_bytes = pages + 2 * GUARD;
    void* mapped = mmap(nullptr, mapped_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped == MAP_FAILED) return nullptr;
    auto* start = static_cast<unsigned char*>(mapped);
    if (mprotect(start + GUARD, pages, PROT_READ | PROT_WRITE)) return nullptr;
    memset(start + GUARD, POISON, pages);
    unsigned char* allocation = start + GUARD + pages - rounded;
    const std::lock_guard<std::mutex> held(lock);
    mappings()[start] = {start, allocation, mapped_bytes, bytes};
    return allocation;
}

void release(void* allocation) {
    const std::lock_guard<std::mutex> held(lock);
    const Mapping* mapping = find(allocation);
    if (!mapping) return;
    munmap(mapping->start, mapping->mapped_bytes);
    mappings().erase(mapping->start);
}

std::string describe_global(const void* address) {
    // Called from the fault handler, which may wait here: a kernel that faults holds no lock of this file.
    const std::lock_guard<std::mutex> held(lock);
    const Mapping* mapping = find(address);
    if (!mapping) return "";
    const ptrdiff_t offset = static_cast<const unsigned char*>(address) - mapping->allocation;
    return "touches byte " + std::to_string(offset) + " of an allocation of " + std::to_string(mapping->bytes) +
           " bytes";
}

}  // namespace emulator
