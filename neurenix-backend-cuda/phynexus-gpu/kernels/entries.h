// Sorting by keys that are unsigned integers, stable, each line for itself.
#pragma once

#include "runtime/device.h"

namespace phynexus {

// What is sorted: a key, and the place in its line that it came from. No two entries of a line are
// alike, so that any way of sorting them is stable and gives the same result.
struct LongEntry {
  uint64_t its_key;
  uint64_t its_place;

  GPU_HOST_DEVICE static LongEntry of(uint64_t key, int64_t place) {
    return {key, static_cast<uint64_t>(place)};
  }
  // After every other.
  GPU_HOST_DEVICE static LongEntry last() { return {~uint64_t{0}, ~uint64_t{0}}; }
  GPU_HOST_DEVICE uint64_t key() const { return its_key; }
  GPU_HOST_DEVICE int64_t place() const { return static_cast<int64_t>(its_place); }
  GPU_HOST_DEVICE bool operator<(const LongEntry& other) const {
    return its_key != other.its_key ? its_key < other.its_key : its_place < other.its_place;
  }
};

// The same in one word, for keys and places below 2^32.
struct ShortEntry {
  static constexpr int64_t kMostPlaces = (int64_t{1} << 32) - 1;  // one less: see last()
  uint64_t word;

  GPU_HOST_DEVICE static ShortEntry of(uint64_t key, int64_t place) {
    return {key << 32 | static_cast<uint64_t>(place)};
  }
  GPU_HOST_DEVICE static ShortEntry last() { return {~uint64_t{0}}; }
  GPU_HOST_DEVICE uint64_t key() const { return word >> 32; }
  GPU_HOST_DEVICE int64_t place() const { return static_cast<int64_t>(word & 0xFFFFFFFF); }
  GPU_HOST_DEVICE bool operator<(const ShortEntry& other) const { return word < other.word; }
};

// Lines of entries, one after the other.
template <class Entry>
struct EntryLines {
  Entry* entries;
  int64_t count;
  int64_t length;
};

// Sorts every line, or the first `wanted` entries of each, which then has no more than those and
// some of the others. The result lies in the memory of `lines` or in `spare`, which is as large.
template <class Entry>
EntryLines<Entry> sort_lines(Device& device, EntryLines<Entry> lines, Entry* spare, int64_t wanted);

extern template EntryLines<LongEntry> sort_lines(Device&, EntryLines<LongEntry>, LongEntry*,
                                                 int64_t);
extern template EntryLines<ShortEntry> sort_lines(Device&, EntryLines<ShortEntry>, ShortEntry*,
                                                  int64_t);

}  // namespace phynexus
