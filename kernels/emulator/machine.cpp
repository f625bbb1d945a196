// The schedule of one block: who runs next, and what happens when nobody can.
#undef _FORTIFY_SOURCE
#include "machine.hpp"

#include <sys/mman.h>

#include <cstdlib>

namespace emulator {

static thread_local Machine* current __attribute__((tls_model("initial-exec"))) = nullptr;
Machine* machine() { return current; }
void set_machine(Machine* machine) { current = machine; }

Machine::Machine() {
    unsigned char* stacks = map_stacks(THREADS_MAX);
    for (uint32_t i = 0; i < THREADS_MAX; i++) {
        threads[i].fiber.stack = stacks + i * STACK_STRIDE;
        threads[i].number = i;
        threads[i].index = {i, 0, 0};
    }
    const size_t page = 4096, bytes = (SHARED_MAX + 1024 + page) / page * page;
    void* mapped = mmap(nullptr, bytes + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) abort();
    shared_region = static_cast<unsigned char*>(mapped);
    mprotect(shared_region + bytes, page, PROT_NONE);
}

bool Machine::run(Launch& of, Index at) {
    launch = &of;
    block = at;
    block_size = {of.threads, 1, 1};
    grid = of.grid;
    reset();
    const int how = _setjmp(host);
    if (how == 0) resume_next();
    return how == 1;
}

void Machine::reset() {
    error.clear();
    state = launch->policy.seed * 0x9E3779B9u + block.x * 0x85EBCA6Bu + block.y * 0xC2B2AE35u;
    alive = block_size.x;
    running = 0;
    for (uint32_t w = 0; w < WARPS_MAX; w++) warps[w] = {};
    for (uint32_t w = 0; w < block_size.x / 32; w++) warps[w].ready = 0xFFFFFFFF;
    for (Barrier& b : barriers) b = {};
    for (uint32_t i = 0; i < block_size.x; i++) {
        threads[i].done = false;
        threads[i].group = 0;
        threads[i].copies.clear();
    }
    poison_shared();
}

void Machine::poison_shared() {
    shared_bytes = launch->shared_bytes;
    shared = shared_region + 1024 + (SHARED_MAX - shared_bytes) / 1024 * 1024;
    shared = reinterpret_cast<unsigned char*>(uintptr_t(shared) / 1024 * 1024);
    memset(shared, POISON, shared_bytes);
}

void Machine::thread_main() {
    for (;;) {
        current->launch->kernel->run(current->launch->parameters);
        current->finish();
    }
}

void Machine::finish() {
    self().done = true;
    warp().ready &= ~(1u << running % 32);
    if (--alive == 0) {
        if (_setjmp(self().fiber.place) == 0) _longjmp(host, 1);
        return;
    }
    leave();
}

// Saves this thread's place and runs others until it is ready again.
void Machine::leave() {
    if (_setjmp(self().fiber.place) == 0) resume_next();
}

void Machine::resume_next() {
    if (!pick()) fail(deadlock());
    enter(self().fiber, thread_main);
}

// Chooses the thread to run: a lane of the same warp if one is ready, else of another warp.
bool Machine::pick() {
    const uint32_t count = block_size.x / 32, from = running / 32;
    const uint32_t start = launch->policy.seed ? random() % count : from;
    for (uint32_t i = 0; i <= count; i++) {
        const uint32_t w = i == 0 ? from : (start + i - 1) % count, ready = warps[w].ready;
        if (!ready) continue;
        const uint32_t turn = launch->policy.seed ? random() % 32 : 0;
        const uint32_t turned = ready >> turn | (turn ? ready << (32 - turn) : 0);
        running = w * 32 + (uint32_t(__builtin_ctz(turned)) + turn) % 32;
        return true;
    }
    return false;
}

// After a rendezvous another warp may overtake this one, far or near as the seed wills.
void Machine::perhaps_switch() {
    const uint32_t seed = launch->policy.seed;
    if (!seed) return;
    static constexpr uint32_t RUN_LENGTHS[4] = {2, 8, 64, 1u << 30};
    if (random() % RUN_LENGTHS[seed % 4]) return;
    const uint32_t count = block_size.x / 32, start = random() % count;
    if (_setjmp(self().fiber.place)) return;
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t w = (start + i) % count;
        if (!warps[w].ready) continue;
        running = w * 32 + uint32_t(__builtin_ctz(warps[w].ready));
        break;
    }
    enter(self().fiber, thread_main);
}

uint32_t Machine::random() {
    state += 0x9E3779B9u;
    uint32_t x = state;
    x = (x ^ x >> 16) * 0x85EBCA6Bu;
    x = (x ^ x >> 13) * 0xC2B2AE35u;
    return x ^ x >> 16;
}

void Machine::meet(const Collective& collective, const void* operands) {
    Warp& w = warp();
    const uint32_t lane = running % 32;
    if (w.arrived && w.collective != &collective)
        fail(std::string("warp diverged: some lanes are at ") + w.collective->name + ", this one is at " + collective.name);
    w.collective = &collective;
    w.operands[lane] = operands;
    w.arrived |= 1u << lane;
    if (w.arrived == 0xFFFFFFFF) {
        w.arrived = 0;
        collective.run(w.operands);
        w.ready = 0xFFFFFFFF;
        return perhaps_switch();
    }
    w.ready &= ~(1u << lane);
    leave();
}

void Machine::barrier(uint32_t id, uint32_t count, bool wait) {
    if (id >= BARRIERS) fail("barrier " + std::to_string(id) + " does not exist");
    if (count == 0 || count % 32 || count > block_size.x) fail("barrier of " + std::to_string(count) + " threads");
    Barrier& b = barriers[id];
    if (b.arrived && b.expected != count) fail("threads disagree on how many barrier " + std::to_string(id) + " is for");
    b.expected = count;
    if (++b.arrived == count) {
        for (uint32_t w = 0; w < WARPS_MAX; w++) warps[w].ready |= b.waiting[w];
        b = {};
        return perhaps_switch();
    }
    if (!wait) return;
    const uint32_t bit = 1u << running % 32;
    b.waiting[running / 32] |= bit;
    warp().ready &= ~bit;
    leave();
}

void Machine::fail(const std::string& what) {
    error = std::string(launch->kernel->name) + ", block (" + std::to_string(block.x) + ", " + std::to_string(block.y) +
            "), thread " + std::to_string(running) + ": " + what;
    for (uint32_t i = 0; i < THREADS_MAX; i++) threads[i].fiber.entered = false;
    _longjmp(host, 2);
}

std::string Machine::deadlock() const {
    std::string text = "deadlock:";
    for (uint32_t w = 0; w < block_size.x / 32; w++)
        if (warps[w].arrived)
            text += " warp " + std::to_string(w) + " has " + std::to_string(__builtin_popcount(warps[w].arrived)) +
                    " of 32 lanes at " + warps[w].collective->name + ";";
    for (uint32_t i = 0; i < BARRIERS; i++)
        if (barriers[i].arrived)
            text += " barrier " + std::to_string(i) + " has " + std::to_string(barriers[i].arrived) + " of " +
                    std::to_string(barriers[i].expected) + " threads;";
    return text;
}

void Machine::copy_async(Copy copy) {
    copy.group = self().group;
    if (copy.to % 16 || uintptr_t(copy.from) % 16) fail("cp.async of an address that is not a multiple of 16");
    if (copy.to + 16 > shared_bytes) fail("cp.async past the end of shared memory");
    if (launch->policy.late) self().copies.push_back(copy);
    else land(copy);
}

void Machine::copy_wait(uint32_t groups) {
    Thread& t = self();
    size_t landed = 0;
    while (landed < t.copies.size() && t.copies[landed].group + groups < t.group) land(t.copies[landed++]);
    t.copies.erase(t.copies.begin(), t.copies.begin() + ptrdiff_t(landed));
}

void Machine::land(const Copy& copy) {
    if (copy.valid) memcpy(shared + copy.to, copy.from, 16);
    else memset(shared + copy.to, 0, 16);
}

}  // namespace emulator
