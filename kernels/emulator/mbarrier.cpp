// Mbarriers. Their state is kept beside the block, not in the eight bytes of shared memory, which stay poisoned: a
// kernel must not look at them.
#include "hopper_emulation.hpp"
#include "machine.hpp"
#include "mbarrier.hpp"

namespace emulator {

void HopperState::reset() {
    mbarriers.clear();
    loads.clear();
    for (auto& issued : products) issued.clear();
    for (uint64_t& history : histories) history = 0;
}

Mbarrier& mbarrier_at(Machine& machine, uint32_t address) {
    for (Mbarrier& barrier : machine.hopper.mbarriers)
        if (barrier.address == address) return barrier;
    machine.fail("mbarrier at " + std::to_string(address) + " is used before it is initialised");
}

static void settle(Machine& machine, Mbarrier& barrier) {
    if (barrier.pending || barrier.bytes) return;
    barrier.pending = barrier.arrivals;
    barrier.phase++;
    for (uint32_t thread : barrier.waiting) machine.wake(thread);
    barrier.waiting.clear();
}

void mbarrier_complete(Machine& machine, Mbarrier& barrier, int bytes) {
    barrier.bytes -= bytes;
    settle(machine, barrier);
}

void mbarrier_init(uint32_t address, int arrivals) {
    Machine& m = *machine();
    m.check_shared("mbarrier", address, 8, 8);
    if (arrivals < 1) m.fail("mbarrier of " + std::to_string(arrivals) + " arrivals");
    for (const Mbarrier& barrier : m.hopper.mbarriers)
        if (barrier.address == address) m.fail("mbarrier at " + std::to_string(address) + " is initialised twice");
    m.hopper.mbarriers.push_back({address, arrivals, arrivals, 0, 0, m.number(), false, {}});
}

void mbarrier_init_fence() {
    Machine& m = *machine();
    for (Mbarrier& barrier : m.hopper.mbarriers) barrier.fenced |= barrier.initialised_by == m.number();
}

void mbarrier_arrive(uint32_t address, int bytes) {
    Machine& m = *machine();
    Mbarrier& barrier = mbarrier_at(m, address);
    if (barrier.pending == 0) m.fail("one arrival too many at the mbarrier at " + std::to_string(address));
    barrier.bytes += bytes;
    barrier.pending--;
    settle(m, barrier);
    m.perhaps_switch();
}

void mbarrier_wait(uint32_t address, uint32_t parity) {
    Machine& m = *machine();
    while (mbarrier_at(m, address).phase % 2 == parity % 2) {
        mbarrier_at(m, address).waiting.push_back(m.number());
        m.sleep(parity % 2 ? "mbarrier, parity 1, at" : "mbarrier, parity 0, at", address);
    }
}

}  // namespace emulator
