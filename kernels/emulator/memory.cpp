// Global memory for kernels: every allocation ends at a page that cannot be touched.
#include <sys/mman.h>
#include <unistd.h>

#include <map>
#include <mutex>

#include "launch.hpp"

namespace emulator {

namespace {

struct Mapping {
    void* start;
    size_t bytes;
};
std::mutex lock;
std::map<void*, Mapping>& mappings() {
    static std::map<void*, Mapping> all;
    return all;
}

}  // namespace

void* allocate(size_t bytes) {
    const size_t page = size_t(sysconf(_SC_PAGESIZE));
    const size_t rounded = (bytes + 15) / 16 * 16, pages = (rounded + page - 1) / page * page;
    void* mapped = mmap(nullptr, pages + 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) return nullptr;
    auto* start = static_cast<unsigned char*>(mapped);
    mprotect(start, page, PROT_NONE);
    mprotect(start + page + pages, page, PROT_NONE);
    memset(start + page, 0xFF, pages);
    void* allocation = start + page + pages - rounded;
    const std::lock_guard<std::mutex> held(lock);
    mappings()[allocation] = {mapped, pages + 2 * page};
    return allocation;
}

void release(void* allocation) {
    const std::lock_guard<std::mutex> held(lock);
    const auto found = mappings().find(allocation);
    if (found == mappings().end()) return;
    munmap(found->second.start, found->second.bytes);
    mappings().erase(found);
}

}  // namespace emulator
