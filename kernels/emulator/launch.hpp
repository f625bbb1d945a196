// Launching kernels from C++: the table of kernels, the policy, and a grid's blocks spread over host threads.
#pragma once
#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>

#include "emulation.hpp"

namespace emulator {

struct Kernel {
    const char* name;
    Facts facts;
    void (*run)(void** parameters);
};

// Null when there is none of that name.
const Kernel* find_kernel(const std::string& name);

// The name of the kernel of that number in alphabetical order; null past the last.
const char* kernel_name(uint32_t number);

// When asynchronous work is done: as soon as it is issued, or as late as the waits for it allow. A kernel must be right
// under each; a slot that is refilled too soon shows when copies are early and products late.
enum Landing { EARLY, LATE, LATE_PRODUCTS, LATE_COPIES };

struct Policy {
    int landing = EARLY;
    uint32_t seed = 0;           // 0 runs warps and blocks in order, any other value draws another schedule
    uint32_t host_threads = 0;   // 0: as many as the computer has cores

    bool late_copies() const { return landing == LATE || landing == LATE_COPIES; }
    bool late_products() const { return landing == LATE || landing == LATE_PRODUCTS; }
};

// A launch in flight, shared by the host threads that run its blocks.
struct Launch {
    const Kernel* kernel;
    void** parameters;
    Index grid;
    uint32_t threads, shared_bytes;
    Policy policy;
    std::atomic<uint64_t> next{0};
    std::atomic<bool> failed{false};
    std::mutex lock{};
    std::string error{};
};

// Runs all blocks; empty when all went well, else the report.
std::string run(const Kernel& kernel, Index grid, uint32_t threads, uint32_t shared_bytes, void** parameters,
                const Policy& policy);

// The policy of launches that this host thread makes from now on.
Policy& policy();
inline void policy(int landing, uint32_t seed) { policy() = {landing, seed, policy().host_threads}; }

// Prints the report and exits when the launch fails.
void run_or_exit(const char* name, Index grid, void** parameters);
template <class... Parameters> void launch(const char* name, Index grid, const Parameters&... parameters) {
    void* pointers[] = {const_cast<Parameters*>(&parameters)...};
    run_or_exit(name, grid, pointers);
}

// Global memory that ends (to 16 bytes) at a guard page and is filled with NaN.
void* allocate(size_t bytes);
void release(void* allocation);
template <class T> T* alloc(size_t count) { return static_cast<T*>(allocate(count * sizeof(T))); }

}  // namespace emulator
