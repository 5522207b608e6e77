// One device: its queue, its memory, and the faults that kernels report.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "runtime/allocator.h"
#include "runtime/staging.h"
#include "vendor/gpu.h"

namespace phynexus {

// Throws std::runtime_error with the run-time library's words where a call has failed.
void check(gpu_error error, const char* call);
#define PHYNEXUS_CHECK(call) ::phynexus::check(call, #call)

// What a kernel found wrong with its arguments: the op, as its place in the table plus 1, and an
// index that is out of range. Kernels go on with a harmless index, and the host finds the fault
// where it waits next.
using Fault = unsigned long long;

// Sets the fault of a device, if none is there; called by kernels.
GPU_DEVICE void report(Fault* fault, int op, int64_t index) {
  // The index is cut to 48 bits, which tell any one that a person has written.
  gpu_first(fault, static_cast<Fault>(op + 1) << 48 | (static_cast<Fault>(index) & 0xFFFFFFFFFFFF));
}

class Device {
 public:
  explicit Device(int index);
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;
  ~Device();

  int index() const { return index_; }
  // Where this thread's kernels go: the queue, or what this thread records.
  gpu_stream stream() const;
  Allocator& memory() { return *memory_; }
  Fault* fault() { return static_cast<Fault*>(fault_); }

  // Makes the device the current one of this thread.
  void use() const;

  // Waits for all work that was queued, and returns the fault that a kernel has reported, or 0.
  Fault synchronize();

  // Queues a copy from the host, through pinned memory; the host's may be reused on return.
  void upload(void* to, const void* from, size_t size);
  // Copies to the host; the values are there on return.
  void download(void* to, const void* from, size_t size);

 private:
  int index_;
  std::mutex mutex_;  // held by who copies
  gpu_stream stream_ = nullptr;
  void* fault_ = nullptr;       // on the device
  void* host_fault_ = nullptr;  // where it is read back to
  std::unique_ptr<Staging> staging_;
  std::unique_ptr<Allocator> memory_;
};

// What there is to say of a device.
struct Description {
  std::string name;
  size_t memory_bytes;
};

// The number of devices that the driver lists.
int count_devices();
Description describe(int index);

}  // namespace phynexus
