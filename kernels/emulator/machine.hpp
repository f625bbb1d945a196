// One block of a grid as it runs on one host thread: its CUDA threads as fibers, who waits for what, its shared memory.
// Lanes of a warp run one after another until each waits; then another warp goes on. The seed of the policy decides
// which, so that a missing barrier shows as a wrong result under some schedule.
#pragma once
#include <csetjmp>
#include <cstdint>
#include <string>
#include <vector>

#include "emulation.hpp"
#include "fiber.hpp"
#include "hopper_state.hpp"
#include "launch.hpp"

namespace emulator {

constexpr uint32_t THREADS_MAX = 1024, WARPS_MAX = THREADS_MAX / 32, BARRIERS = 16;
constexpr uint32_t SHARED_MAX = 232448;   // 227 KB, the most that a block of sm_90 may have
constexpr unsigned char POISON = 0xFF;    // bf16, fp32 and fp64 of it are NaN, an index of it is far out of range

// What all lanes of a warp do together: the last to come does it for all.
struct Collective {
    const char* name;
    void (*run)(const void* const* operands);
};

// A cp.async that was issued and has not landed.
struct Copy {
    uint32_t group, to;
    const void* from;
    bool valid;
};

struct Thread {
    Fiber fiber;
    Index index{};
    const char* waits_at = nullptr;   // for reports: the name of what it waits for, and its number or address
    uint32_t waits_for = 0;
    std::vector<Copy> copies;
    uint32_t copy_group = 0, product_group = 0;
    bool fenced = false;              // wgmma.fence since the accumulators were last waited for
    bool done = false;
};

struct Warp {
    uint32_t ready = 0, arrived = 0;
    const Collective* collective = nullptr;
    const void* operands[32] = {};
};

struct Barrier {
    uint32_t expected = 0, arrived = 0;
    uint32_t waiting[WARPS_MAX] = {};
};

class Machine {
  public:
    Machine();

    // Runs one block; false when it failed, and `error` says why.
    bool run(Launch& launch, Index block);

    // Waits until all 32 lanes are here, then `collective` has run on what each brought.
    void meet(const Collective& collective, const void* operands);
    void barrier(uint32_t id, uint32_t threads, bool wait);
    void copy_async(Copy copy);
    void copy_wait(uint32_t groups);

    // Puts this thread to sleep until another wakes it; `at` and `number` say in a report what it waits for.
    void sleep(const char* at, uint32_t number);
    // Lets every other thread go on as far as it can first.
    void stand_back();
    void wake(uint32_t thread) { warps[thread / 32].ready |= 1u << thread % 32; }
    // After a rendezvous another warp may overtake this one, near or far as the seed wills.
    void perhaps_switch();

    // Ends the block with a report. Called on a fiber; does not come back.
    [[noreturn]] void fail(const std::string& what);
    // Fails unless `bytes` bytes of shared memory lie at `address`, a multiple of `alignment`.
    void check_shared(const char* who, uint32_t address, uint32_t bytes, uint32_t alignment);

    // What a bad address means.
    std::string describe(const void* address) const;

    uint32_t number() const { return running; }
    Thread& self() { return threads[running]; }
    Warp& warp() { return warps[running / 32]; }

    Launch* launch = nullptr;
    Index block{}, block_size{}, grid{};
    unsigned char* shared = nullptr;
    uint32_t shared_bytes = 0;
    HopperState hopper;
    std::string error;

  private:
    static void thread_main();
    void reset();
    void finish();
    [[noreturn]] void resume_next();
    bool pick();
    bool pick_any();
    void draw_priorities();
    bool call_back(uint32_t draw);
    bool pick_in(uint32_t warp);
    void land(const Copy& copy);
    std::string report(const std::string& what) const;
    std::string deadlock() const;
    std::string unfinished() const;
    std::string place_of(uint32_t thread) const;
    uint32_t random();

    Thread threads[THREADS_MAX];
    Warp warps[WARPS_MAX];
    Barrier barriers[BARRIERS];
    jmp_buf host;
    uint32_t running = 0, alive = 0, state = 0;
    uint32_t priorities[WARPS_MAX] = {};
    std::vector<uint32_t> standing_back;
    unsigned char* region = nullptr;   // shared memory, and around it poison and pages that cannot be touched
};

// The machine of this host thread while it runs a block, else null.
Machine* machine();
void set_machine(Machine* machine);

}  // namespace emulator
