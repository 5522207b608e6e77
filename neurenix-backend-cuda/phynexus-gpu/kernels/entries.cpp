#include "kernels/entries.h"

#include <utility>

#include "kernels/map.h"

namespace phynexus {

namespace {

constexpr int kChunk = 1024;  // entries that a block sorts: 16 KiB of shared memory
constexpr int kSortThreads = 256;
// Below it, keeping the first entries of each chunk shortens lines by more than merging costs.
constexpr int64_t kFewWanted = 256;

// How lines are cut into chunks: several short lines in one, or a long one in several.
struct Chunks {
  int64_t lines;
  int64_t length;
  int run;              // the entries of a chunk that are sorted together: a power of two
  int64_t of_a_line;    // 1 for short lines
  int64_t keep;         // entries of each run that are written
  int64_t kept_length;  // of a line that is written

  GPU_HOST_DEVICE int64_t count() const {
    const int64_t together = kChunk / run;
    return (lines + together - 1) / together * of_a_line;
  }
};

Chunks cut(int64_t lines, int64_t length, int64_t wanted) {
  Chunks chunks{lines, length, 1, (length + kChunk - 1) / kChunk, 0, 0};
  while (chunks.run < kChunk && chunks.run < length) chunks.run *= 2;
  chunks.keep = std::min<int64_t>(wanted, chunks.run);
  const int64_t before = chunks.of_a_line - 1;
  chunks.kept_length = before * chunks.keep + std::min(chunks.keep, length - before * kChunk);
  return chunks;
}

// Sorts the runs of each chunk, by Batcher's bitonic network.
//
// Reference: K. Batcher, "Sorting networks and their applications", AFIPS 1968.
template <class Entry>
GPU_KERNEL void sort_chunks_kernel(Chunks chunks, const Entry* in, Entry* out) {
  GPU_SHARED(Entry, slots, [kChunk]);
  for (int64_t chunk = gpu_block_x(); chunk < chunks.count(); chunk += gpu_blocks_x()) {
    const int64_t first_line = chunk / chunks.of_a_line * (kChunk / chunks.run);
    const int64_t number = chunk % chunks.of_a_line;  // in the line
    for (int slot = gpu_thread(); slot < kChunk; slot += gpu_threads()) {
      const int64_t line = first_line + slot / chunks.run;
      const int64_t place = number * kChunk + slot % chunks.run;
      const bool is_there = line < chunks.lines && place < chunks.length;
      slots[slot] = is_there ? in[line * chunks.length + place] : Entry::last();
    }
    gpu_sync();
    for (int size = 2; size <= chunks.run; size *= 2) {
      for (int apart = size / 2; apart > 0; apart /= 2) {
        for (int pair = gpu_thread(); pair < kChunk / 2; pair += gpu_threads()) {
          const int low = 2 * pair - (pair & (apart - 1));
          const int high = low + apart;
          const bool falls = (low & size) != 0 && size < chunks.run;
          const Entry a = slots[low];
          const Entry b = slots[high];
          if ((b < a) != falls) {
            slots[low] = b;
            slots[high] = a;
          }
        }
        gpu_sync();
      }
    }
    for (int slot = gpu_thread(); slot < kChunk; slot += gpu_threads()) {
      const int64_t line = first_line + slot / chunks.run;
      const int64_t place = slot % chunks.run;
      const int64_t target = number * chunks.keep + place;
      if (line < chunks.lines && place < chunks.keep && target < chunks.kept_length) {
        out[line * chunks.kept_length + target] = slots[slot];
      }
    }
  }
}

// Merges neighbouring sorted runs of each line: an entry's place is its own in its run, and how
// many entries of the other run come before it.
template <class Entry>
GPU_KERNEL void merge_kernel(EntryLines<const Entry> lines, int64_t run, Entry* out) {
  const int64_t size = lines.count * lines.length;
  for (int64_t i = gpu_block_x() * gpu_threads() + gpu_thread(); i < size;
       i += gpu_blocks_x() * gpu_threads()) {
    const int64_t line = i / lines.length * lines.length;
    const int64_t place = i - line;
    const int64_t own = place / run;
    const int64_t both = own / 2 * 2 * run;  // where the two runs begin
    const Entry entry = lines.entries[i];
    int64_t low = (own ^ 1) * run < lines.length ? (own ^ 1) * run : lines.length;
    int64_t high = low + run < lines.length ? low + run : lines.length;
    const int64_t first = low;
    while (low < high) {
      const int64_t middle = low + (high - low) / 2;
      if (lines.entries[line + middle] < entry) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    out[line + both + (place - own * run) + (low - first)] = entry;
  }
}

}  // namespace

template <class Entry>
EntryLines<Entry> sort_lines(Device& device, EntryLines<Entry> lines, Entry* spare,
                             int64_t wanted) {
  if (lines.count * lines.length == 0) return lines;
  const bool few = wanted <= kFewWanted;
  do {
    const Chunks chunks = cut(lines.count, lines.length, few ? wanted : kChunk);
    const int64_t blocks = std::min<int64_t>(chunks.count(), int64_t{1} << 22);
    gpu_launch(&sort_chunks_kernel<Entry>, {blocks}, kSortThreads, device.stream(), chunks,
               static_cast<const Entry*>(lines.entries), spare);
    std::swap(lines.entries, spare);
    lines.length = chunks.kept_length;
    if (chunks.of_a_line == 1) return lines;
  } while (few);
  const int64_t size = lines.count * lines.length;
  for (int64_t run = kChunk; run < lines.length; run *= 2) {
    gpu_launch(&merge_kernel<Entry>, {blocks_for(size, kMapThreads)}, kMapThreads, device.stream(),
               EntryLines<const Entry>{lines.entries, lines.count, lines.length}, run, spare);
    std::swap(lines.entries, spare);
  }
  return lines;
}

template EntryLines<LongEntry> sort_lines(Device&, EntryLines<LongEntry>, LongEntry*, int64_t);
template EntryLines<ShortEntry> sort_lines(Device&, EntryLines<ShortEntry>, ShortEntry*, int64_t);

}  // namespace phynexus
