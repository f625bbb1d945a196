// Bad addresses become reports: a kernel that touches a guard page fails its block instead of the process.
#pragma once

namespace emulator {

// Catches faults of kernels from now on, in the whole process; faults elsewhere go where they went before.
void catch_faults();

// Gives this host thread a stack of its own to handle faults on, since a fiber's may be what overflowed.
class FaultStack {
  public:
    FaultStack();
    ~FaultStack();
    FaultStack(const FaultStack&) = delete;
    FaultStack& operator=(const FaultStack&) = delete;

  private:
    void* mapped;
};

}  // namespace emulator
