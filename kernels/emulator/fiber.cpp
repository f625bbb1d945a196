// _FORTIFY_SOURCE's longjmp refuses to jump to another stack, which is all that happens here.
#undef _FORTIFY_SOURCE
#include "fiber.hpp"

#include <sys/mman.h>
#include <ucontext.h>

#include <cstdlib>

namespace emulator {

unsigned char* map_stacks(size_t count) {
    void* mapped = mmap(nullptr, STACK_STRIDE * count, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped == MAP_FAILED) abort();
    auto* stacks = static_cast<unsigned char*>(mapped);
    for (size_t i = 0; i < count; i++) mprotect(stacks + i * STACK_STRIDE, STACK_GUARD, PROT_NONE);
    return stacks + STACK_GUARD;
}

void enter(Fiber& fiber, void (*main)()) {
    if (fiber.entered) _longjmp(fiber.place, 1);
    fiber.entered = true;
    ucontext_t context;
    getcontext(&context);
    context.uc_stack.ss_sp = fiber.stack;
    context.uc_stack.ss_size = STACK_BYTES;
    context.uc_link = nullptr;
    makecontext(&context, main, 0);
    setcontext(&context);
    abort();
}

}  // namespace emulator
