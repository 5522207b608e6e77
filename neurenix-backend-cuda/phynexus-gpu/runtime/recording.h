// Work that is recorded once and repeated: a graph of the vendor's.
#pragma once

#include "runtime/device.h"

namespace phynexus {

// Records what one thread queues on a device between its construction and `end`. Other threads go
// on using the device's queue meanwhile.
class Recording {
 public:
  // Begins. A thread records one thing at a time.
  //
  // Throws std::logic_error where it records already.
  explicit Recording(Device& device);
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;
  // Gives up what was not ended; otherwise waits until no repetition is under way.
  ~Recording();

  // Ends; from here on it can be repeated.
  void end();
  // Ends where something has gone wrong, if it has not ended; it cannot be repeated.
  void abandon() noexcept;

  // Queues the work again.
  void repeat();

  Device& device() const { return device_; }
  gpu_stream stream() const { return stream_; }
  // Bytes of scratch memory that it holds.
  size_t reserved_bytes() const { return reserve_.bytes(); }

  // What this thread records, or null.
  static Recording*& active();

 private:
  void stop_recording() noexcept;

  Device& device_;
  Reserve reserve_;
  gpu_stream stream_ = nullptr;
  gpu_graph graph_{};
  bool can_repeat_ = false;
};

}  // namespace phynexus
