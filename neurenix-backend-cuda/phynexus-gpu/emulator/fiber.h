// Stacks between which the processor switches in a few nanoseconds.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

namespace phynexus::emulator {

// A suspended flow of control: where its stack ends.
struct Fiber {
  void* stack_pointer = nullptr;
};

// Suspends the running flow of control into `from`, and goes on with `to`.
void switch_to(Fiber& from, const Fiber& to);

// Stacks of fibers, kept for the next launch.
class Stacks {
 public:
  Stacks() = default;
  Stacks(const Stacks&) = delete;
  Stacks& operator=(const Stacks&) = delete;
  ~Stacks();

  // Returns a fiber on the stack of that number which, switched to, calls `entry`. The function
  // must not return.
  Fiber start(size_t number, void (*entry)());

 private:
  static constexpr size_t kBytes = 128 << 10;  // the mathematical library takes a few KiB
  std::vector<void*> stacks_;
};

}  // namespace phynexus::emulator
