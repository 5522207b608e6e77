// A device's memory, kept and handed out again.
//
// Asking the driver for memory takes tens of microseconds and may stop the queue, so what is given
// back is kept. A device has one queue: work that will use memory runs after the work that used it
// before, so that memory may be given away again as soon as the host has released it.
#pragma once

#include <cstddef>
#include <map>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>

#include "vendor/gpu.h"

namespace phynexus {

// Where nothing can be done about an error, or where it has been dealt with.
inline void ignore(gpu_error) {}

// There is not enough memory; the message has the figures.
class OutOfMemory : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct MemoryStatistics {
  size_t in_use_bytes = 0;
  size_t cached_bytes = 0;  // asked of the driver, and not in use
  size_t peak_bytes = 0;    // the most that was in use
};

class Allocator {
 public:
  explicit Allocator(gpu_stream stream) : stream_(stream) {}
  Allocator(const Allocator&) = delete;
  Allocator& operator=(const Allocator&) = delete;
  // Gives everything back to the driver, also what is in use.
  ~Allocator();

  // Returns memory aligned to 512 bytes; never null.
  //
  // Throws OutOfMemory.
  void* allocate(size_t size_bytes);
  void release(void* pointer) noexcept;

  // Gives the segments that nothing lies in back to the driver.
  void trim();

  MemoryStatistics statistics() const;

 private:
  // A part of a segment; those of one segment are linked in the order of their addresses.
  struct Block {
    char* begin;
    size_t size;
    bool is_small;  // its segment is for small requests
    bool is_free;
    bool is_first;  // of its segment
    bool is_last;
  };
  // The smallest that fits first, of those the one at the lowest address.
  using Free = std::set<std::pair<size_t, char*>>;
  using Blocks = std::map<char*, Block>;

  void* take(size_t size, bool is_small);
  void* ask_driver(size_t size, bool is_small);
  Free& free_like(const Block& block) { return block.is_small ? free_small_ : free_large_; }
  void give_back_free_segments();
  void add_free(Block block);
  void remove_free(const Block& block);

  gpu_stream stream_;
  mutable std::mutex mutex_;
  Blocks blocks_;  // all, by address
  Free free_small_;
  Free free_large_;
  MemoryStatistics statistics_;
};

// The scratch memory of work that is recorded, which every repetition writes again: what one kernel
// gives back the next may have, and nobody else as long as the recording lives.
class Reserve {
 public:
  explicit Reserve(Allocator& memory) : memory_(memory) {}
  Reserve(const Reserve&) = delete;
  Reserve& operator=(const Reserve&) = delete;
  ~Reserve();

  void* take(size_t size_bytes);
  void give_back(void* pointer) noexcept;
  size_t bytes() const { return bytes_; }

  // The reserve that the scratch memory of this thread comes from, or null.
  static Reserve*& active();

 private:
  Allocator& memory_;
  std::map<void*, size_t> sizes_;
  std::set<std::pair<size_t, void*>> idle_;
  size_t bytes_ = 0;
};

// Memory that a kernel needs while it runs.
class Scratch {
 public:
  Scratch(Allocator& memory, size_t size_bytes)
      : memory_(memory),
        reserve_(Reserve::active()),
        pointer_(reserve_ ? reserve_->take(size_bytes) : memory.allocate(size_bytes)) {}
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() {
    if (reserve_ != nullptr) {
      reserve_->give_back(pointer_);
    } else {
      memory_.release(pointer_);
    }
  }

  template <class T>
  T* as() const {
    return static_cast<T*>(pointer_);
  }

 private:
  Allocator& memory_;
  Reserve* reserve_;
  void* pointer_;
};

}  // namespace phynexus
