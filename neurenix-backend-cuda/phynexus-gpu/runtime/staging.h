// Pinned memory through which arrays go to a device, so that the host need not wait for its queue.
#pragma once

#include <cstddef>
#include <vector>

#include "vendor/gpu.h"

namespace phynexus {

// A ring of chunks. What is uploaded is copied to one of them and from there by the queue, in its
// turn; a chunk is used again when the queue has passed the point at which it was left.
class Staging {
 public:
  explicit Staging(gpu_stream stream) : stream_(stream) {}
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;
  // The queue must have been waited for.
  ~Staging();

  // Queues a copy to a device; the memory may be reused on return.
  void upload(char* to, const char* from, size_t size);

  // To be called when the queue has been waited for: all chunks are free.
  void all_is_done();

 private:
  struct Chunk {
    char* memory = nullptr;
    gpu_event left = nullptr;
    bool is_used = false;  // since the queue was last waited for
  };

  void go_on_to_next();

  gpu_stream stream_;
  std::vector<Chunk> chunks_;
  size_t current_ = 0;
  size_t used_bytes_ = 0;  // of the current chunk
};

}  // namespace phynexus
