#include "runtime/staging.h"

#include <algorithm>
#include <cstring>

#include "runtime/device.h"

namespace phynexus {

namespace {

// A transfer of a chunk takes longer than it takes to begin one; with so many of them a batch of
// pictures is under way as a whole while the host prepares the next.
constexpr size_t kChunkBytes = size_t{4} << 20;
constexpr size_t kMostChunks = 16;
constexpr size_t kAlignment = 256;

}  // namespace

Staging::~Staging() {
  for (const Chunk& chunk : chunks_) {
    ignore(gpu_free_host(chunk.memory));
    ignore(gpu_event_destroy(chunk.left));
  }
}

void Staging::upload(char* to, const char* from, size_t size) {
  while (size > 0) {
    if (chunks_.empty() || used_bytes_ == kChunkBytes) go_on_to_next();
    Chunk& chunk = chunks_[current_];
    const size_t part = std::min(size, kChunkBytes - used_bytes_);
    char* place = chunk.memory + used_bytes_;
    std::memcpy(place, from, part);
    PHYNEXUS_CHECK(gpu_copy_async(to, place, part, stream_));
    chunk.is_used = true;
    used_bytes_ =
        std::min(kChunkBytes, (used_bytes_ + part + kAlignment - 1) / kAlignment * kAlignment);
    to += part;
    from += part;
    size -= part;
  }
}

void Staging::all_is_done() {
  for (Chunk& chunk : chunks_) chunk.is_used = false;
  used_bytes_ = 0;
}

void Staging::go_on_to_next() {
  if (!chunks_.empty()) PHYNEXUS_CHECK(gpu_event_record(chunks_[current_].left, stream_));
  size_t next = chunks_.empty() ? 0 : (current_ + 1) % chunks_.size();
  if (chunks_.empty() || (chunks_[next].is_used && chunks_.size() < kMostChunks)) {
    // Before the next one, which is the oldest: the ring keeps its order.
    Chunk made;
    void* memory = nullptr;
    PHYNEXUS_CHECK(gpu_malloc_host(&memory, kChunkBytes));
    made.memory = static_cast<char*>(memory);
    const gpu_error error = gpu_event_create(&made.left);
    if (error != gpu_success) {
      ignore(gpu_free_host(memory));
      PHYNEXUS_CHECK(error);
    }
    next = chunks_.empty() ? 0 : current_ + 1;
    chunks_.insert(chunks_.begin() + static_cast<std::ptrdiff_t>(next), made);
  } else if (chunks_[next].is_used) {
    PHYNEXUS_CHECK(gpu_event_synchronize(chunks_[next].left));
    chunks_[next].is_used = false;
  }
  current_ = next;
  used_bytes_ = 0;
}

}  // namespace phynexus
