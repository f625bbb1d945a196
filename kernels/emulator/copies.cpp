// cp.async: a thread's copies, in groups. A late copy lands in the wait that asks for its group, and no sooner.
#include "machine.hpp"

namespace emulator {

void Machine::copy_async(Copy copy) {
    check_shared("cp.async", copy.to, 16, 16);
    if (uintptr_t(copy.from) % 16) fail("cp.async from an address that is not a multiple of 16");
    if (copy.valid) *static_cast<const volatile unsigned char*>(copy.from);   // fails here, not where it lands
    copy.group = self().copy_group;
    if (launch->policy.late_copies()) self().copies.push_back(copy);
    else land(copy);
}

void Machine::copy_wait(uint32_t groups) {
    Thread& t = self();
    size_t landed = 0;
    while (landed < t.copies.size() && t.copies[landed].group + groups < t.copy_group) land(t.copies[landed++]);
    t.copies.erase(t.copies.begin(), t.copies.begin() + ptrdiff_t(landed));
}

void Machine::land(const Copy& copy) {
    if (copy.valid) memcpy(shared + copy.to, copy.from, 16);
    else memset(shared + copy.to, 0, 16);
}

}  // namespace emulator
