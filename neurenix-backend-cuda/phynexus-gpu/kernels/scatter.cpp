// Writing where an index says, as a loop in the order of the index would. The places that an index
// names are sorted, so that those which name one element lie side by side: each element then has
// threads of its own, and sums have a fixed order.
#include <optional>

#include "kernels/arithmetic.h"
#include "kernels/entries.h"
#include "kernels/index.h"
#include "kernels/map.h"
#include "kernels/table.h"

namespace phynexus {

namespace {

constexpr int64_t kPart = 256;  // terms that a thread adds up

// A scatter along one axis. The index varies along some of the other axes, which make up its lines;
// along the rest, which make up the columns, it is repeated, and need not be sorted again.
struct Scatter {
  Walk<3> lines;    // of out, index and values
  Walk<2> columns;  // of out and values
  int64_t count;    // of places along the axis
  int64_t out_stride;
  int64_t index_stride;
  int64_t value_stride;

  GPU_HOST_DEVICE int64_t places() const { return lines.count * count; }
  GPU_HOST_DEVICE int64_t size() const { return places() * columns.count; }
};

Scatter scatter_of(const Tensor& out, const Tensor& index, const Tensor& value, int axis) {
  int64_t steps[kMostAxes];
  int64_t step = 1;
  for (int a = out.rank - 1; a >= 0; --a) {
    steps[a] = step;
    step *= out.shape[a];
  }
  Scatter scatter{{}, {}, index.shape[axis], steps[axis], index.strides[axis], value.strides[axis]};
  for (int a = 0; a < index.rank; ++a) {
    if (a == axis) continue;
    if (index.strides[a] == 0) {
      scatter.columns.add(index.shape[a], {steps[a], value.strides[a]});
    } else {
      scatter.lines.add(index.shape[a], {steps[a], index.strides[a], value.strides[a]});
    }
  }
  return scatter;
}

// A place of the index, sorted by what it names.
struct Named {
  int64_t target;  // what it names, or -1
  int64_t place;   // in its line
  int64_t first;   // the first of those that name it, as its number in the sorted line
};

template <class Entry>
GPU_KERNEL void name_kernel(Scatter scatter, Index index, Entry* entries) {
  const int64_t size = scatter.places();
  for (int64_t i = gpu_block_x() * gpu_threads() + gpu_thread(); i < size;
       i += gpu_blocks_x() * gpu_threads()) {
    const int64_t line = i / scatter.count;
    const int64_t place = i - line * scatter.count;
    int64_t places[3];
    scatter.lines.find(line, places);
    const int64_t target = index.at(places[1] + place * scatter.index_stride);
    entries[i] = Entry::of(target < 0 ? index.size : target, place);
  }
}

template <class Entry>
GPU_KERNEL void named_kernel(EntryLines<const Entry> sorted, int64_t targets, Named* named) {
  const int64_t size = sorted.count * sorted.length;
  for (int64_t i = gpu_block_x() * gpu_threads() + gpu_thread(); i < size;
       i += gpu_blocks_x() * gpu_threads()) {
    const int64_t line = i / sorted.length * sorted.length;
    const uint64_t key = sorted.entries[i].key();
    int64_t low = 0;
    int64_t high = i - line;
    while (low < high) {
      const int64_t middle = (low + high) / 2;
      if (sorted.entries[line + middle].key() < key) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    const int64_t target = static_cast<int64_t>(key);
    named[i] = {target < targets ? target : -1, sorted.entries[i].place(), low};
  }
}

template <class Entry>
void sort_by(const Call& call, const Scatter& scatter, const Index& index, Named* named) {
  const int64_t size = scatter.places();
  Scratch scratch(call.device.memory(), 2 * size * sizeof(Entry));
  Entry* entries = scratch.as<Entry>();
  gpu_launch(&name_kernel<Entry>, {blocks_for(size, kMapThreads)}, kMapThreads, call.stream(),
             scatter, index, entries);
  const EntryLines<Entry> sorted =
      sort_lines(call.device, EntryLines<Entry>{entries, scatter.lines.count, scatter.count},
                 entries + size, scatter.count);
  gpu_launch(&named_kernel<Entry>, {blocks_for(size, kMapThreads)}, kMapThreads, call.stream(),
             EntryLines<const Entry>{sorted.entries, sorted.count, sorted.length}, index.size,
             named);
}

// Writes what each place of the index names, in order.
void sort_index(const Call& call, const Scatter& scatter, const Index& index, Named* named) {
  if (index.size < ShortEntry::kMostPlaces && scatter.count <= ShortEntry::kMostPlaces) {
    sort_by<ShortEntry>(call, scatter, index, named);
  } else {
    sort_by<LongEntry>(call, scatter, index, named);
  }
}

// An element of the output, as the place of the index and the column say.
struct Spot {
  int64_t number;  // of the place, in its sorted line
  const Named* line;
  int64_t out;
  int64_t value;  // where the values of its line and column begin
};

GPU_DEVICE Spot spot_of(const Scatter& scatter, const Named* named, int64_t i) {
  const int64_t place = i / scatter.columns.count;
  const int64_t line = place / scatter.count;
  int64_t begin[3];
  int64_t column[2];
  scatter.lines.find(line, begin);
  scatter.columns.find(i - place * scatter.columns.count, column);
  const Named* its_line = named + line * scatter.count;
  const int64_t number = place - line * scatter.count;
  return {number, its_line, begin[0] + column[0] + its_line[number].target * scatter.out_stride,
          begin[2] + column[1]};
}

// The last of those that name an element gives it its value.
template <class T>
GPU_KERNEL void set_kernel(Scatter scatter, const Named* named, T* out, const T* value) {
  const int64_t size = scatter.size();
  for (int64_t i = gpu_block_x() * gpu_threads() + gpu_thread(); i < size;
       i += gpu_blocks_x() * gpu_threads()) {
    const Spot spot = spot_of(scatter, named, i);
    const Named& its = spot.line[spot.number];
    const int64_t next = spot.number + 1;
    if (its.target < 0 || (next < scatter.count && spot.line[next].first == its.first)) continue;
    out[spot.out] = value[spot.value + its.place * scatter.value_stride];
  }
}

// Adds a part of the values of an element up; the first part begins with what is there. Where there
// are more, the sums are kept.
template <class T>
GPU_KERNEL void add_kernel(Scatter scatter, const Named* named, T* out, const T* value,
                           Wide<T>* sums) {
  const int64_t size = scatter.size();
  for (int64_t i = gpu_block_x() * gpu_threads() + gpu_thread(); i < size;
       i += gpu_blocks_x() * gpu_threads()) {
    const Spot spot = spot_of(scatter, named, i);
    const Named& its = spot.line[spot.number];
    if (its.target < 0 || (spot.number - its.first) % kPart != 0) continue;
    Wide<T> sum = spot.number == its.first ? static_cast<Wide<T>>(out[spot.out]) : Wide<T>(0);
    int64_t n = spot.number;
    for (; n < scatter.count && n < spot.number + kPart; ++n) {
      if (spot.line[n].first != its.first) break;
      const int64_t place = spot.value + spot.line[n].place * scatter.value_stride;
      sum = arithmetic::Add()(sum, static_cast<Wide<T>>(value[place]));
    }
    const bool goes_on = n < scatter.count && spot.line[n].first == its.first;
    if (spot.number == its.first && !goes_on) {
      out[spot.out] = convert<T>(sum);
    } else {
      sums[i] = sum;
    }
  }
}

// Adds the parts of an element up, in their order.
template <class T>
GPU_KERNEL void add_parts_kernel(Scatter scatter, const Named* named, T* out, const Wide<T>* sums) {
  const int64_t size = scatter.size();
  for (int64_t i = gpu_block_x() * gpu_threads() + gpu_thread(); i < size;
       i += gpu_blocks_x() * gpu_threads()) {
    const Spot spot = spot_of(scatter, named, i);
    const Named& its = spot.line[spot.number];
    int64_t n = spot.number + kPart;
    const bool has_parts = n < scatter.count && spot.line[n].first == its.first;
    if (its.target < 0 || spot.number != its.first || !has_parts) continue;
    Wide<T> sum = sums[i];
    for (; n < scatter.count && spot.line[n].first == its.first; n += kPart) {
      sum = arithmetic::Add()(sum, sums[i + (n - spot.number) * scatter.columns.count]);
    }
    out[spot.out] = convert<T>(sum);
  }
}

template <class T>
void add(const Call& call, const Scatter& scatter, const Named* named, T* out, const T* value) {
  const int64_t size = scatter.size();
  const bool has_parts = scatter.count > kPart;
  Scratch sums(call.device.memory(), has_parts ? size * sizeof(Wide<T>) : 0);
  const int64_t blocks = blocks_for(size, kMapThreads);
  gpu_launch(&add_kernel<T>, {blocks}, kMapThreads, call.stream(), scatter, named, out, value,
             sums.as<Wide<T>>());
  if (!has_parts) return;
  gpu_launch(&add_parts_kernel<T>, {blocks}, kMapThreads, call.stream(), scatter, named, out,
             sums.as<const Wide<T>>());
}

void scatter(const Call& call) {
  const Tensor& out = call.out();
  const Tensor& index = call.in(1);
  const int axis = static_cast<int>(call.attributes.integer("axis"));
  copy_to_dense(call.in(0), out.data, call.device);
  if (index.size() == 0) return;
  const Scatter scatter = scatter_of(out, index, call.in(2), axis);
  Scratch scratch(call.device.memory(), scatter.places() * sizeof(Named));
  Named* named = scratch.as<Named>();
  sort_index(call, scatter, index_of(call, index, out.shape[axis]), named);
  const int64_t size = scatter.size();
  visit_words(out.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    gpu_launch(&set_kernel<T>, {blocks_for(size, kMapThreads)}, kMapThreads, call.stream(), scatter,
               static_cast<const Named*>(named), out.as<T>(), call.in(2).as<const T>());
  });
}

void add_at(const Call& call, const Tensor& out, const Tensor& index, const Tensor& value,
            int axis) {
  if (index.size() == 0) return;
  const Scatter scatter = scatter_of(out, index, value, axis);
  Scratch scratch(call.device.memory(), scatter.places() * sizeof(Named));
  Named* named = scratch.as<Named>();
  sort_index(call, scatter, index_of(call, index, out.shape[axis]), named);
  visit(Numbers(), out.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    add<T>(call, scatter, named, out.as<T>(), value.as<const T>());
  });
}

void scatter_add(const Call& call) {
  copy_to_dense(call.in(0), call.out().data, call.device);
  const int axis = static_cast<int>(call.attributes.integer("axis"));
  add_at(call, call.out(), call.in(1), call.in(2), axis);
}

Tensor matrix(const Tensor& of, int64_t rows, int64_t columns, int64_t column_stride) {
  Tensor made = of;
  made.rank = 2;
  made.shape[0] = rows;
  made.shape[1] = columns;
  made.strides[0] = column_stride == 0 ? 1 : columns;
  made.strides[1] = column_stride;
  return made;
}

// The gradient of take: rows, added up where the index says.
void take_backward(const Call& call) {
  const Tensor& out = call.out();
  const Tensor& index = call.in(1);
  const int64_t width = out.size(1, out.rank);
  if (out.size() == 0) return;
  PHYNEXUS_CHECK(gpu_fill_bytes_async(out.data, 0, out.size() * size_of(out.dtype), call.stream()));
  add_at(call, matrix(out, out.shape[0], width, 1), matrix(index, index.size(), width, 0),
         matrix(call.in(0), index.size(), width, 1), 0);
}

}  // namespace

std::vector<Op> scatter_ops() {
  return {
      {"scatter", scatter, set_of(Every()), true},
      {"scatter_add", scatter_add, set_of(Numbers()), true},
      {"take_backward", take_backward, set_of(Numbers())},
  };
}

}  // namespace phynexus
