// What a block says when it fails: which kernel, which block, which thread, and in a deadlock who waits for what.
#include <cstdio>

#include "machine.hpp"
#include "memory.hpp"
#include "shared.hpp"

namespace emulator {

std::string Machine::report(const std::string& what) const {
    return std::string(launch->kernel->name) + ", block (" + std::to_string(block.x) + ", " + std::to_string(block.y) +
           "), thread " + std::to_string(running) + ": " + what;
}

std::string Machine::place_of(uint32_t thread) const {
    const Thread& t = threads[thread];
    if (t.done) return "returned";
    std::string text = std::string("wait at ") + t.waits_at + " " + std::to_string(t.waits_for);
    if (std::string(t.waits_at) == "barrier")
        text += " (" + std::to_string(barriers[t.waits_for].arrived) + " of " +
                std::to_string(barriers[t.waits_for].expected) + " threads are there)";
    return text;
}

// Neighbours that are at the same place make one line.
std::string Machine::deadlock() const {
    std::string text = "deadlock";
    for (uint32_t from = 0; from < block_size.x;) {
        const std::string place = place_of(from);
        uint32_t to = from + 1;
        while (to < block_size.x && place_of(to) == place) to++;
        text += "; threads " + std::to_string(from) + " to " + std::to_string(to - 1) + " " + place;
        from = to;
    }
    return text;
}

// What a block must not leave behind, or nothing.
std::string Machine::unfinished() const {
    if (!hopper.loads.empty()) return "the block ended before its TMA loads landed";
    for (uint32_t w = 0; w < block_size.x / 32; w++) {
        if (!hopper.products[w].empty()) return "the block ended before its wgmma were waited for";
        if (hopper.histories[w] != hopper.histories[w / 4 * 4])
            return "the warps of a warpgroup issued different wgmma";
    }
    for (uint32_t i = 0; i < BARRIERS; i++)
        if (barriers[i].arrived) return "the block ended with threads arrived at barrier " + std::to_string(i);
    if (!shared_margins_are_poison(region, shared_bytes)) return "something was written outside shared memory";
    return "";
}

std::string Machine::describe(const void* address) const {
    const std::string global = describe_global(address);
    if (!global.empty()) return global;
    const ptrdiff_t offset = static_cast<const unsigned char*>(address) - shared;
    if (offset > -int64_t(SHARED_MAX) && offset < 2 * int64_t(SHARED_MAX))
        return "touches byte " + std::to_string(offset) + " of " + std::to_string(shared_bytes) + " of shared memory";
    for (uint32_t i = 0; i < block_size.x; i++) {
        const ptrdiff_t below = threads[i].fiber.stack - static_cast<const unsigned char*>(address);
        if (below > 0 && below <= ptrdiff_t(STACK_GUARD)) return "stack overflow";
    }
    char text[64];
    snprintf(text, sizeof text, "touches address %p, which is nowhere", address);
    return text;
}

void Machine::check_shared(const char* who, uint32_t address, uint32_t bytes, uint32_t alignment) {
    if (address % alignment)
        fail(std::string(who) + " at shared address " + std::to_string(address) + ", no multiple of " +
             std::to_string(alignment));
    if (uint64_t(address) + bytes > shared_bytes)
        fail(std::string(who) + " at shared address " + std::to_string(address) + " passes the " +
             std::to_string(shared_bytes) + " bytes of the launch");
}

}  // namespace emulator
