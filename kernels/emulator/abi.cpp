// The C interface that the Rust tests load. One library holds the kernels that it was linked with.
#include <cstdio>

#include "ptx.cuh"
#include "hopper_emulation.hpp"
#include "launch.hpp"

static int refuse(const std::string& why, char* error, size_t error_bytes) {
    snprintf(error, error_bytes, "%s", why.c_str());
    return 1;
}

extern "C" {

// Runs a kernel as cuLaunchKernel would, and waits. 0 when all went well; else `error` says what did not.
int emulator_launch(const char* name, const uint32_t grid[3], uint32_t threads, uint32_t shared_bytes,
                    void** parameters, char* error, size_t error_bytes) {
    const emulator::Kernel* kernel = emulator::find_kernel(name);
    if (!kernel) return refuse(std::string("there is no kernel ") + name, error, error_bytes);
    const std::string report = emulator::run(*kernel, {grid[0], grid[1], grid[2]}, threads, shared_bytes, parameters,
                                             emulator::policy());
    return report.empty() ? 0 : refuse(report, error, error_bytes);
}

void* emulator_alloc(size_t bytes) { return emulator::allocate(bytes); }
void emulator_free(void* allocation) { emulator::release(allocation); }

// For the launches of the calling thread from now on; `host_threads` 0 is as many as there are cores.
void emulator_policy(int landing, uint32_t seed, uint32_t host_threads) {
    emulator::policy() = {landing, seed, host_threads};
}

// Writes the 128 bytes of a tensor map. 0 when the hardware would take it; else `error` says why not.
int emulator_tensor_map(void* map, const void* base, uint64_t rows, uint64_t columns, uint64_t row_bytes,
                        uint32_t box_rows, uint32_t box_columns, char* error, size_t error_bytes) {
    const char* why = emulator::make_tensor_map(static_cast<CUtensorMap*>(map), base, rows, columns, row_bytes,
                                                box_rows, box_columns);
    return why ? refuse(why, error, error_bytes) : 0;
}

// What a kernel states of its launch: threads, shared bytes, rows and columns of its tile, parameters, bytes of the
// first. 0 when there is such a kernel.
int emulator_facts(const char* name, int32_t facts[6]) {
    const emulator::Kernel* kernel = emulator::find_kernel(name);
    if (!kernel) return 1;
    const emulator::Facts& f = kernel->facts;
    const int32_t all[] = {f.threads, f.shared_bytes, f.rows, f.columns, f.parameters, int32_t(f.parameter_bytes)};
    memcpy(facts, all, sizeof all);
    return 0;
}

// The name of the kernel of that number, in alphabetical order; null past the last.
const char* emulator_kernel(uint32_t number) { return emulator::kernel_name(number); }
}
