// The handler runs on the faulting thread, inside the kernel, so it may end the block as any other check does: by a
// jump to the host's place. The signal is not blocked meanwhile, because that jump does not restore masks.
#include "fault.hpp"

#include <csignal>
#include <cstdlib>
#include <mutex>

#include <sys/mman.h>

#include "machine.hpp"

namespace emulator {

static constexpr size_t BYTES = 64 << 10;
static constexpr int SIGNALS[] = {SIGSEGV, SIGBUS, SIGFPE};
static struct sigaction before[3];

static void handle(int signal, siginfo_t* info, void*) {
    if (Machine* m = machine()) m->fail(signal == SIGFPE ? "integer division by zero" : m->describe(info->si_addr));
    for (int i = 0; i < 3; i++)
        if (SIGNALS[i] == signal) sigaction(signal, &before[i], nullptr);   // returning faults again, into it
}

void catch_faults() {
    static std::once_flag once;
    std::call_once(once, [] {
        struct sigaction action = {};
        action.sa_sigaction = handle;
        action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
        for (int i = 0; i < 3; i++) sigaction(SIGNALS[i], &action, &before[i]);
    });
}

FaultStack::FaultStack() {
    mapped = mmap(nullptr, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) abort();
    stack_t stack = {};
    stack.ss_sp = mapped;
    stack.ss_size = BYTES;
    sigaltstack(&stack, nullptr);
}

FaultStack::~FaultStack() {
    stack_t none = {};
    none.ss_flags = SS_DISABLE;
    sigaltstack(&none, nullptr);
    munmap(mapped, BYTES);
}

}  // namespace emulator
