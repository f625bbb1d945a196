// The schedule of one block: who runs next, and what happens when nobody can.
#undef _FORTIFY_SOURCE
#include "machine.hpp"

#include <algorithm>

#include "shared.hpp"

namespace emulator {

static thread_local Machine* current __attribute__((tls_model("initial-exec"))) = nullptr;
Machine* machine() { return current; }
void set_machine(Machine* machine) { current = machine; }

Machine::Machine() {
    unsigned char* stacks = map_stacks(THREADS_MAX);
    for (uint32_t i = 0; i < THREADS_MAX; i++) {
        threads[i].fiber.stack = stacks + i * STACK_STRIDE;
        threads[i].index = {i, 0, 0};
    }
    region = map_shared();
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
    running = launch->policy.seed ? random() % (block_size.x / 32) * 32 : 0;
    draw_priorities();
    hopper.reset();
    standing_back.clear();
    for (Warp& w : warps) w = {};
    for (Barrier& b : barriers) b = {};
    for (uint32_t i = 0; i < block_size.x; i++) {
        wake(i);
        threads[i].done = threads[i].fenced = false;
        threads[i].copy_group = threads[i].product_group = 0;
        threads[i].copies.clear();
    }
    shared_bytes = launch->shared_bytes;
    shared = poison_shared(region, shared_bytes);
}

void Machine::thread_main() {
    for (;;) {
        current->launch->kernel->run(current->launch->parameters);
        current->finish();
    }
}

// A fiber is entered once and goes from block to block: it stops here and goes on with the next.
void Machine::finish() {
    self().done = true;
    warp().ready &= ~(1u << running % 32);
    alive--;
    if (_setjmp(self().fiber.place)) return;
    if (alive) resume_next();
    const std::string fault = unfinished();
    if (!fault.empty()) fail(fault);
    _longjmp(host, 1);
}

void Machine::sleep(const char* at, uint32_t number) {
    self().waits_at = at;
    self().waits_for = number;
    warp().ready &= ~(1u << running % 32);
    if (_setjmp(self().fiber.place) == 0) resume_next();
}

// When nobody is ready, what was put off happens: one load lands, or a warp that stood back goes on.
void Machine::resume_next() {
    while (!pick()) {
        const uint32_t draw = launch->policy.seed ? random() : 0;
        const bool loads_first = draw % 2;
        if (loads_first && land_one(*this, draw / 2)) continue;
        if (!call_back(draw / 2) && !land_one(*this, draw / 2)) fail(deadlock());
    }
    enter(self().fiber, thread_main);
}

void Machine::stand_back() {
    standing_back.push_back(running);
    sleep("its turn after all others, thread", running);
}

// One warp goes on, in order the one that came last: so the oldest work stays undone for longest.
bool Machine::call_back(uint32_t draw) {
    if (standing_back.empty()) return false;
    const uint32_t called = standing_back[standing_back.size() - 1 - draw % standing_back.size()] / 32;
    const auto stays = [&](uint32_t thread) { return thread / 32 != called; };
    const auto leaving = std::partition(standing_back.begin(), standing_back.end(), stays);
    for (auto thread = leaving; thread != standing_back.end(); thread++) wake(*thread);
    standing_back.erase(leaving, standing_back.end());
    return true;
}

// Chooses the thread to run: a lane of the same warp if one is ready, else of another warp.
bool Machine::pick() { return pick_in(running / 32) || pick_any(); }

// A lane of any warp that is ready: of the one that comes first by priority, or else round a random start.
bool Machine::pick_any() {
    const uint32_t count = block_size.x / 32, seed = launch->policy.seed;
    const bool by_priority = seed % 4 == 3;
    const uint32_t start = by_priority ? 0 : seed ? random() % count : running / 32;
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t w = (start + i) % count;
        if (pick_in(by_priority ? priorities[w] : w)) return true;
    }
    return false;
}

// A random order of the warps.
void Machine::draw_priorities() {
    const uint32_t count = block_size.x / 32;
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t j = random() % (i + 1);
        priorities[i] = priorities[j];
        priorities[j] = i;
    }
}

bool Machine::pick_in(uint32_t warp) {
    const uint32_t ready = warps[warp].ready;
    if (!ready) return false;
    const uint32_t turn = launch->policy.seed ? random() % 32 : 0;
    const uint32_t turned = turn ? ready >> turn | ready << (32 - turn) : ready;
    running = warp * 32 + (uint32_t(__builtin_ctz(turned)) + turn) % 32;
    return true;
}

// Three of four seeds switch at random, after runs of about this many rendezvous. The fourth always goes on with the
// warp of the highest priority and seldom draws new ones, so that some warp starves while the others run far ahead
// (Burckhardt et al., "A randomized scheduler with probabilistic guarantees of finding bugs", ASPLOS 2010).
void Machine::perhaps_switch() {
    static constexpr uint32_t RUN_LENGTHS[4] = {2, 8, 64, 1};
    const uint32_t seed = launch->policy.seed;
    if (!seed || random() % RUN_LENGTHS[seed % 4]) return;
    if (random() % 256 == 0) draw_priorities();
    if (_setjmp(self().fiber.place)) return;
    pick_any();
    enter(self().fiber, thread_main);
}

uint32_t Machine::random() {
    state += 0x9E3779B9u;
    uint32_t x = state;
    x = (x ^ x >> 16) * 0x85EBCA6Bu;
    x = (x ^ x >> 13) * 0xC2B2AE35u;
    return x ^ x >> 16;
}

void Machine::fail(const std::string& what) {
    error = report(what);
    for (Thread& thread : threads) thread.fiber.entered = false;
    _longjmp(host, 2);
}

}  // namespace emulator
