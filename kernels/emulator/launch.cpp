// The table of kernels, and launches: blocks are handed out one by one to as many host threads as there are cores.
#include "launch.hpp"

#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <numeric>
#include <thread>
#include <vector>

#include "fault.hpp"
#include "machine.hpp"

namespace emulator {

static std::map<std::string, Kernel>& table() {
    static std::map<std::string, Kernel> kernels;
    return kernels;
}

Registration::Registration(const char* name, Facts facts, void (*run)(void**)) { table()[name] = {name, facts, run}; }

const Kernel* find_kernel(const std::string& name) {
    const auto found = table().find(name);
    return found == table().end() ? nullptr : &found->second;
}

const char* kernel_name(uint32_t number) {
    for (const auto& kernel : table())
        if (number-- == 0) return kernel.second.name;
    return nullptr;
}

Policy& policy() {
    static thread_local Policy policy;
    return policy;
}

// Machines are kept from launch to launch: their stacks are already mapped.
static std::mutex pool_lock;
static std::vector<std::unique_ptr<Machine>>& pool() {
    static std::vector<std::unique_ptr<Machine>> machines;
    return machines;
}

static std::unique_ptr<Machine> take_machine() {
    const std::lock_guard<std::mutex> held(pool_lock);
    if (pool().empty()) return std::make_unique<Machine>();
    auto taken = std::move(pool().back());
    pool().pop_back();
    return taken;
}

// The order in which blocks start: by the seed, since a device promises none.
static uint64_t start_order(uint64_t number, uint64_t blocks, uint32_t seed) {
    if (!seed) return number;
    uint64_t stride = (seed * 0x9E3779B9ull) % blocks;
    while (std::gcd(stride, blocks) != 1) stride++;
    return (number % blocks * stride + seed) % blocks;
}

static void work(Launch& launch) {
    const FaultStack stack;
    auto machine = take_machine();
    set_machine(machine.get());
    const Index g = launch.grid;
    const uint64_t blocks = uint64_t(g.x) * g.y * g.z;
    for (uint64_t i; !launch.failed && (i = launch.next++) < blocks;) {
        const uint64_t at = start_order(i, blocks, launch.policy.seed);
        const Index block{uint32_t(at % g.x), uint32_t(at / g.x % g.y), uint32_t(at / g.x / g.y)};
        if (machine->run(launch, block)) continue;
        const std::lock_guard<std::mutex> held(launch.lock);
        if (!launch.failed.exchange(true)) launch.error = machine->error;
    }
    set_machine(nullptr);
    const std::lock_guard<std::mutex> held(pool_lock);
    pool().push_back(std::move(machine));
}

std::string run(const Kernel& kernel, Index grid, uint32_t threads, uint32_t shared_bytes, void** parameters,
                const Policy& policy) {
    if (threads == 0 || threads % 32 || threads > THREADS_MAX)
        return std::string(kernel.name) + ": " + std::to_string(threads) +
               " threads are no whole warps of at most 1024";
    if (shared_bytes > SHARED_MAX)
        return std::string(kernel.name) + ": " + std::to_string(shared_bytes) + " bytes of shared memory";
    catch_faults();
    Launch launch{&kernel, parameters, grid, threads, shared_bytes, policy};
    const uint64_t blocks = uint64_t(grid.x) * grid.y * grid.z;
    uint64_t count = policy.host_threads ? policy.host_threads : std::thread::hardware_concurrency();
    count = count < blocks ? count : blocks;
    std::vector<std::thread> others;
    for (uint64_t i = 0; i < count; i++) others.emplace_back(work, std::ref(launch));
    for (auto& thread : others) thread.join();
    return launch.error;
}

void run_or_exit(const char* name, Index grid, void** parameters) {
    const Kernel* kernel = find_kernel(name);
    const std::string error = !kernel ? std::string("no kernel ") + name
                                      : run(*kernel, grid, uint32_t(kernel->facts.threads),
                                            uint32_t(kernel->facts.shared_bytes), parameters, policy());
    if (error.empty()) return;
    fprintf(stderr, "%s\n", error.c_str());
    exit(1);
}

}  // namespace emulator
