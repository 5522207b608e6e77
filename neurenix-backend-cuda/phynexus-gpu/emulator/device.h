// A GPU that is not there: its memory and its queue.
#pragma once

#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "emulator/stream.h"

namespace phynexus::emulator {

// Work in the order in which it was queued, kept to be queued again.
using Recorded = std::vector<std::function<void()>>;

// Work that has been queued. As on a GPU nothing is done when the call returns: all of it is when
// the host waits, at the latest.
class Queue : public Stream {
 public:
  Queue() : Stream{&Queue::add_foreign} {}
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;

  // Returns an error that a kernel has made before, or 0.
  int add(std::function<void()> work);

  // Does all work; returns an error, or 0.
  int drain();

  // From here on what is added is kept, and not done. Returns kCaptureMisused where that is so
  // already; waiting for the queue meanwhile is an error too, and ends it.
  int begin_recording();
  int end_recording(std::shared_ptr<const Recorded>& recorded);

 private:
  static int add_foreign(Stream* stream, void (*work)(void*), void* data, void (*release)(void*));

  Recorded work_;
  std::shared_ptr<Recorded> recording_;  // while it is recorded
};

// Errors are numbers, as a vendor's are.
constexpr int kOutOfMemory = 1;
constexpr int kKernelFailed = 2;
constexpr int kNoSuchDevice = 3;
constexpr int kCaptureMisused = 4;
const char* text_of(int error);

// Memory, filled with poison. There are PHYNEXUS_EMULATED_MEMORY bytes of it (default: 4 GiB).
int allocate(void** pointer, size_t size);
int release(void* pointer);

// There are PHYNEXUS_EMULATED_DEVICES devices (default: 2).
int count(int* devices);
int describe(int index, char* name, size_t size, size_t* memory_bytes);

}  // namespace phynexus::emulator
