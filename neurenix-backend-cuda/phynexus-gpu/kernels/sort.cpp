// Sorting along an axis, and its first few: by keys that order as the elements do.
#include "kernels/entries.h"
#include "kernels/map.h"
#include "kernels/rows.h"
#include "kernels/table.h"
#include "tensor/numbers.h"

namespace phynexus {

namespace {

// An unsigned integer that orders as a float does; -0 and 0 are alike, and a NaN is the largest.
template <class Bits, class T>
GPU_DEVICE Bits key_of_float(T value) {
  if (value != value) return static_cast<Bits>(-1);
  const Bits bits = gpu_bits<Bits>(value == T(0) ? T(0) : value);
  constexpr Bits kSign = Bits{1} << (8 * sizeof(Bits) - 1);
  return bits & kSign ? ~bits : bits | kSign;
}

// The same of any element; of those of up to four bytes, it has 32 bits.
GPU_DEVICE uint64_t key_of(const AnyNumbers& x, int64_t place) {
  const uint64_t bits = x.bits(place);
  switch (x.dtype) {
    case DType::kFloat64:
      return key_of_float<uint64_t>(x.value<double>(bits));
    case DType::kInt64:
      return bits ^ uint64_t{1} << 63;
    case DType::kFloat32:
    case DType::kFloat16:
    case DType::kBfloat16:
      return key_of_float<uint32_t>(x.value<float>(bits));
    default:
      return static_cast<uint32_t>(x.value<int32_t>(bits)) ^ uint32_t { 1 } << 31;
  }
}

template <class Entry>
GPU_KERNEL void key_kernel(Rows rows, AnyNumbers x, bool falling, Entry* entries) {
  const int64_t size = rows.count * rows.length;
  const uint64_t flipped = !falling ? 0 : sizeof(Entry) == 8 ? 0xFFFFFFFF : ~uint64_t{0};
  for (int64_t i = gpu_block_x() * gpu_threads() + gpu_thread(); i < size;
       i += gpu_blocks_x() * gpu_threads()) {
    const int64_t row = i / rows.length;
    const int64_t place = i - row * rows.length;
    const uint64_t key = key_of(x, rows.first(row) + place * rows.inner);
    entries[i] = Entry::of(key ^ flipped, place);
  }
}

// Writes the first elements of each row in their order, and the places they come from.
template <class Entry, class T>
GPU_KERNEL void place_kernel(Rows rows, Rows targets, EntryLines<const Entry> sorted, T* values,
                             int64_t* indices, const T* x) {
  const int64_t size = targets.count * targets.length;
  for (int64_t i = gpu_block_x() * gpu_threads() + gpu_thread(); i < size;
       i += gpu_blocks_x() * gpu_threads()) {
    const int64_t row = i / targets.length;
    const int64_t number = i - row * targets.length;
    const int64_t place = sorted.entries[row * sorted.length + number].place();
    const int64_t target = targets.first(row) + number * targets.inner;
    values[target] = x[rows.first(row) + place * rows.inner];
    indices[target] = place;
  }
}

template <class Entry>
void sort_by(const Call& call, const Rows& rows, const Rows& targets, bool falling) {
  const Tensor& x = call.in(0);
  const int64_t size = rows.count * rows.length;
  Scratch scratch(call.device.memory(), 2 * size * sizeof(Entry));
  Entry* entries = scratch.as<Entry>();
  gpu_launch(&key_kernel<Entry>, {blocks_for(size, kMapThreads)}, kMapThreads, call.stream(), rows,
             AnyNumbers{x.data, x.dtype}, falling, entries);
  const EntryLines<Entry> sorted =
      sort_lines(call.device, EntryLines<Entry>{entries, rows.count, rows.length}, entries + size,
                 targets.length);
  visit_words(x.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    gpu_launch(&place_kernel<Entry, T>, {blocks_for(targets.count * targets.length, kMapThreads)},
               kMapThreads, call.stream(), rows, targets,
               EntryLines<const Entry>{sorted.entries, sorted.count, sorted.length},
               call.out(0).as<T>(), call.out(1).as<int64_t>(), x.as<const T>());
  });
}

void run_sort(const Call& call, bool falling) {
  const Tensor& x = call.in(0);
  if (call.out(0).size() == 0) return;
  const int axis = static_cast<int>(call.attributes.integer("axis"));
  const Rows rows = rows_of(x, axis);
  const Rows targets = rows_of(call.out(0), axis);
  const bool has_long_keys = x.dtype == DType::kFloat64 || x.dtype == DType::kInt64;
  if (has_long_keys || rows.length > ShortEntry::kMostPlaces) {
    sort_by<LongEntry>(call, rows, targets, falling);
  } else {
    sort_by<ShortEntry>(call, rows, targets, falling);
  }
}

void sort(const Call& call) { run_sort(call, call.attributes.flag("descending")); }
void topk(const Call& call) { run_sort(call, call.attributes.flag("largest")); }

}  // namespace

std::vector<Op> sort_ops() {
  return {
      {"sort", sort, set_of(Every())},
      {"topk", topk, set_of(Every())},
  };
}

}  // namespace phynexus
