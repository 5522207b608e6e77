#include "runtime/allocator.h"

#include <algorithm>
#include <cstdio>
#include <vector>

namespace phynexus {

namespace {

constexpr size_t kAlignment = 512;            // what the vendors' libraries are quickest with
constexpr size_t kSegment = size_t{2} << 20;  // the driver's pages
// Requests of up to this size share segments of their own: a number that lives long would otherwise
// keep a segment of a gigabyte from being used as a whole again.
constexpr size_t kSmall = size_t{1} << 20;

size_t round_up(size_t size, size_t unit) { return (size + unit - 1) / unit * unit; }

std::string in_mib(size_t bytes) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.1f MiB", static_cast<double>(bytes) / (1 << 20));
  return text;
}

}  // namespace

Allocator::~Allocator() {
  for (auto& [begin, block] : blocks_) {
    if (block.is_first) ignore(gpu_free(begin));
  }
}

void* Allocator::allocate(size_t size_bytes) {
  std::lock_guard<std::mutex> lock(mutex_);
  const size_t size = round_up(std::max<size_t>(size_bytes, 1), kAlignment);
  const bool is_small = size <= kSmall;
  void* found = size < size_bytes ? nullptr : take(size, is_small);
  if (found == nullptr && size >= size_bytes) found = ask_driver(size, is_small);
  if (found == nullptr) {
    throw OutOfMemory(in_mib(size_bytes) + " asked for, " + in_mib(statistics_.in_use_bytes) +
                      " in use, " + in_mib(statistics_.cached_bytes) + " cached");
  }
  return found;
}

void* Allocator::take(size_t size, bool is_small) {
  Free& free = is_small ? free_small_ : free_large_;
  auto fit = free.lower_bound({size, nullptr});
  if (fit == free.end()) return nullptr;
  Block& block = blocks_.at(fit->second);
  remove_free(block);
  // A rest that is smaller stays with its block, so that memory is not cut to pieces.
  if (block.size - size >= (is_small ? kAlignment : kSmall)) {
    Block rest{block.begin + size, block.size - size, is_small, true, false, block.is_last};
    block.size = size;
    block.is_last = false;
    blocks_[rest.begin] = rest;
    add_free(rest);
  }
  block.is_free = false;
  statistics_.in_use_bytes += block.size;
  statistics_.peak_bytes = std::max(statistics_.peak_bytes, statistics_.in_use_bytes);
  return block.begin;
}

void* Allocator::ask_driver(size_t size, bool is_small) {
  const size_t segment = round_up(size, kSegment);
  void* memory = nullptr;
  if (gpu_malloc(&memory, segment) != gpu_success) {
    give_back_free_segments();
    if (gpu_malloc(&memory, segment) != gpu_success) {
      ignore(gpu_last_error());  // which a later check would find
      return nullptr;
    }
  }
  Block block{static_cast<char*>(memory), segment, is_small, true, true, true};
  blocks_[block.begin] = block;
  add_free(block);
  return take(size, is_small);
}

void Allocator::release(void* pointer) noexcept {
  std::lock_guard<std::mutex> lock(mutex_);
  auto place = blocks_.find(static_cast<char*>(pointer));
  statistics_.in_use_bytes -= place->second.size;
  Block block = place->second;
  block.is_free = true;
  if (!block.is_last) {
    auto next = std::next(place);
    if (next->second.is_free) {
      remove_free(next->second);
      block.size += next->second.size;
      block.is_last = next->second.is_last;
      blocks_.erase(next);
    }
  }
  if (!block.is_first) {
    auto before = std::prev(place);
    if (before->second.is_free) {
      remove_free(before->second);
      before->second.size += block.size;
      before->second.is_last = block.is_last;
      blocks_.erase(place);
      add_free(before->second);
      return;
    }
  }
  place->second = block;
  add_free(block);
}

void Allocator::trim() {
  std::lock_guard<std::mutex> lock(mutex_);
  give_back_free_segments();
}

// The queue may still use what the host has released.
void Allocator::give_back_free_segments() {
  ignore(gpu_stream_synchronize(stream_));
  std::vector<Block> whole;
  for (auto& [begin, block] : blocks_) {
    if (block.is_free && block.is_first && block.is_last) whole.push_back(block);
  }
  for (const Block& block : whole) {
    remove_free(block);
    blocks_.erase(block.begin);
    ignore(gpu_free(block.begin));
  }
}

MemoryStatistics Allocator::statistics() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return statistics_;
}

void Allocator::add_free(Block block) {
  free_like(block).insert({block.size, block.begin});
  statistics_.cached_bytes += block.size;
}

void Allocator::remove_free(const Block& block) {
  free_like(block).erase({block.size, block.begin});
  statistics_.cached_bytes -= block.size;
}

Reserve::~Reserve() {
  for (auto& [pointer, size] : sizes_) memory_.release(pointer);
}

Reserve*& Reserve::active() {
  thread_local Reserve* active = nullptr;
  return active;
}

void* Reserve::take(size_t size_bytes) {
  auto fit = idle_.lower_bound({size_bytes, nullptr});
  if (fit != idle_.end()) {
    void* pointer = fit->second;
    idle_.erase(fit);
    return pointer;
  }
  void* pointer = memory_.allocate(size_bytes);
  sizes_[pointer] = size_bytes;
  bytes_ += size_bytes;
  return pointer;
}

void Reserve::give_back(void* pointer) noexcept { idle_.insert({sizes_.at(pointer), pointer}); }

}  // namespace phynexus
