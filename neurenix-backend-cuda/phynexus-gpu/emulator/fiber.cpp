#include "emulator/fiber.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstring>
#include <new>

#if !defined(__x86_64__)
#include <ucontext.h>

#endif

namespace phynexus::emulator {

Stacks::~Stacks() {
  for (void* stack : stacks_) munmap(stack, kBytes);
}

#if defined(__x86_64__)

// The six registers that a function must preserve; everything else is dead at a call. 17 ns with
// the work around it, where swapcontext takes 290, as that asks the system for the signal mask.
extern "C" void phynexus_emulator_switch(void** from, void* to);
asm(R"(
.text
.globl phynexus_emulator_switch
.hidden phynexus_emulator_switch
.type phynexus_emulator_switch, @function
phynexus_emulator_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size phynexus_emulator_switch, . - phynexus_emulator_switch
)");

void switch_to(Fiber& from, const Fiber& to) {
  phynexus_emulator_switch(&from.stack_pointer, to.stack_pointer);
}

#else

// Any other processor: the system's contexts, slower.
void switch_to(Fiber& from, const Fiber& to) {
  ucontext_t here;
  from.stack_pointer = &here;
  swapcontext(&here, static_cast<ucontext_t*>(to.stack_pointer));
}

#endif

Fiber Stacks::start(size_t number, void (*entry)()) {
  while (stacks_.size() <= number) {
    void* stack = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (stack == MAP_FAILED) throw std::bad_alloc();
    stacks_.push_back(stack);
  }
  char* low = static_cast<char*>(stacks_[number]);
#if defined(__x86_64__)
  // At the entry of a function the stack is 8 bytes off a multiple of 16, as after a call.
  void** top = reinterpret_cast<void**>(low + kBytes) - 2;
  *top = reinterpret_cast<void*>(entry);
  top -= 6;
  std::memset(top, 0, 6 * sizeof(void*));
  return {top};
#else
  auto* context = reinterpret_cast<ucontext_t*>(low);
  getcontext(context);
  size_t head = (sizeof(ucontext_t) + 63) / 64 * 64;
  context->uc_stack.ss_sp = low + head;
  context->uc_stack.ss_size = kBytes - head;
  context->uc_link = nullptr;
  makecontext(context, entry, 0);
  return {context};
#endif
}

}  // namespace phynexus::emulator
