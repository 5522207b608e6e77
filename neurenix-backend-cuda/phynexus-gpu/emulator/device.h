// A GPU that is not there: its memory and its queue.
#pragma once

#include <cstddef>
#include <exception>
#include <functional>
#include <string>
#include <vector>

namespace phynexus::emulator {

// Work that has been queued. As on a GPU nothing is done when the call returns: all of it is when
// the host waits, at the latest.
class Queue {
 public:
  Queue() = default;
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;

  // Returns an error that a kernel has made before, or 0.
  int add(std::function<void()> work);

  // Does all work; returns an error, or 0.
  int drain();

 private:
  std::vector<std::function<void()>> work_;
};

// Errors are numbers, as a vendor's are.
constexpr int kOutOfMemory = 1;
constexpr int kKernelFailed = 2;
constexpr int kNoSuchDevice = 3;
const char* text_of(int error);

// Memory, filled with poison. There are PHYNEXUS_EMULATED_MEMORY bytes of it (default: 4 GiB).
int allocate(void** pointer, size_t size);
int release(void* pointer);

// There are PHYNEXUS_EMULATED_DEVICES devices (default: 2).
int count(int* devices);
int describe(int index, char* name, size_t size, size_t* memory_bytes);

}  // namespace phynexus::emulator
