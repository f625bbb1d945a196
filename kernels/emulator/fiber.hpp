// One CUDA thread's stack and place in it. A switch is _setjmp and _longjmp, so it makes no system call; makecontext is
// used only to enter a stack for the first time.
#pragma once
#include <csetjmp>
#include <cstddef>

namespace emulator {

struct Fiber {
    jmp_buf place;
    unsigned char* stack = nullptr;
    bool entered = false;
};

constexpr size_t STACK_BYTES = 128 << 10, STACK_GUARD = 64 << 10, STACK_STRIDE = STACK_BYTES + STACK_GUARD;

// Stacks for `count` fibers, STACK_STRIDE apart, each above bytes that cannot be touched. They live as long as the
// process.
unsigned char* map_stacks(size_t count);

// Goes on in `fiber`, from `main` when it was not entered yet. Does not come back: the caller saved its own place.
[[noreturn]] void enter(Fiber& fiber, void (*main)());

}  // namespace emulator
