// Where threads of a block meet: lanes at a warp collective, warps at a barrier.
#include "machine.hpp"

namespace emulator {

void Machine::meet(const Collective& collective, const void* operands) {
    Warp& w = warp();
    const uint32_t lane = running % 32;
    if (w.arrived && w.collective != &collective)
        fail(std::string("warp diverged: other lanes are at ") + w.collective->name + ", this one is at " +
             collective.name);
    w.collective = &collective;
    w.operands[lane] = operands;
    w.arrived |= 1u << lane;
    if (w.arrived != 0xFFFFFFFF) return sleep(collective.name, running / 32);
    w.arrived = 0;
    collective.run(w.operands);
    w.ready = 0xFFFFFFFF;
    perhaps_switch();
}

void Machine::barrier(uint32_t id, uint32_t count, bool wait) {
    const std::string name = "barrier " + std::to_string(id);
    if (id >= BARRIERS) fail(name + " does not exist");
    if (count == 0 || count % 32 || count > block_size.x) fail(name + " for " + std::to_string(count) + " threads");
    Barrier& b = barriers[id];
    if (b.arrived && b.expected != count)
        fail(name + " is for " + std::to_string(count) + " threads here and for " + std::to_string(b.expected) +
             " elsewhere");
    b.expected = count;
    b.arrived++;
    if (b.arrived == count) {
        for (uint32_t w = 0; w < WARPS_MAX; w++) warps[w].ready |= b.waiting[w];
        b = {};
        return perhaps_switch();
    }
    if (!wait) return;
    b.waiting[running / 32] |= 1u << running % 32;
    sleep("barrier", id);
}

}  // namespace emulator
