// Reading and writing where an index says. Everything is in the order of the index: where one comes
// several times, results are those of a loop.
#include "kernels/map.h"
#include "kernels/table.h"

namespace phynexus {

namespace {

// An index of int64 or int32, which names elements of an axis.
struct Index {
  const void* data;
  bool is_wide;
  int64_t size;  // of the axis
  Fault* fault;
  int op;

  // Reports an index that is out of range, and returns -1 for it.
  GPU_DEVICE int64_t at(int64_t place) const {
    const int64_t index = is_wide ? static_cast<const int64_t*>(data)[place]
                                  : static_cast<const int32_t*>(data)[place];
    if (index >= 0 && index < size) return index;
    report(fault, op, index);
    return -1;
  }
};

Index index_of(const Call& call, const Tensor& index, int64_t size) {
  return {index.data, index.dtype == DType::kInt64, size, call.device.fault(), call.op};
}

template <class T>
GPU_KERNEL void gather_kernel(Walk<3> walk, Index index, int64_t step, T* out, const T* x) {
  for (int64_t i = gpu_block_x() * gpu_threads() + gpu_thread(); i < walk.count;
       i += gpu_blocks_x() * gpu_threads()) {
    int64_t places[3];
    walk.find(i, places);
    const int64_t found = index.at(places[1]);
    out[places[0]] = found < 0 ? T(0) : x[places[2] + found * step];
  }
}

void gather(const Call& call) {
  const Tensor& out = call.out();
  const Tensor& x = call.in(0);
  const Tensor& index = call.in(1);
  const int64_t axis = call.attributes.integer("axis");
  Walk<3> walk;
  for (int a = 0; a < out.rank; ++a) {
    walk.add(out.shape[a], {out.strides[a], index.strides[a], a == axis ? 0 : x.strides[a]});
  }
  if (walk.count == 0) return;
  visit_words(out.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    gpu_launch(&gather_kernel<T>, {blocks_for(walk.count, kMapThreads)}, kMapThreads, call.stream(),
               walk, index_of(call, index, x.shape[axis]), x.strides[axis], out.as<T>(),
               x.as<const T>());
  });
}

struct Set {
  template <class T>
  GPU_DEVICE static void put(T& target, T value) {
    target = value;
  }
};

struct Increase {
  template <class Sum, class T>
  GPU_DEVICE static void put(Sum& target, T value) {
    target = static_cast<Sum>(target + static_cast<Sum>(value));
  }
};

// The strides along the axis that is indexed.
struct Along {
  int64_t count;
  int64_t out;
  int64_t index;
  int64_t value;
};

// A thread for each line along the axis, so that no two write to one place.
template <class How, class Sum, class T>
GPU_KERNEL void scatter_kernel(Walk<3> lines, Along along, Index index, Sum* out, const T* value) {
  for (int64_t line = gpu_block_x() * gpu_threads() + gpu_thread(); line < lines.count;
       line += gpu_blocks_x() * gpu_threads()) {
    int64_t places[3];
    lines.find(line, places);
    for (int64_t i = 0; i < along.count; ++i) {
      const int64_t found = index.at(places[1] + i * along.index);
      if (found < 0) continue;
      How::put(out[places[0] + found * along.out], value[places[2] + i * along.value]);
    }
  }
}

template <class How, class T, class Sum>
void scatter_lines(const Call& call, Sum* out) {
  const Tensor& index = call.in(1);
  const Tensor& value = call.in(2);
  const int64_t axis = call.attributes.integer("axis");
  int64_t steps[kMostAxes];
  int64_t step = 1;
  for (int a = call.out().rank - 1; a >= 0; --a) {
    steps[a] = step;
    step *= call.out().shape[a];
  }
  Walk<3> lines;
  for (int a = 0; a < index.rank; ++a) {
    if (a != axis) lines.add(index.shape[a], {steps[a], index.strides[a], value.strides[a]});
  }
  if (lines.count == 0 || index.shape[axis] == 0) return;
  const Along along{index.shape[axis], steps[axis], index.strides[axis], value.strides[axis]};
  gpu_launch(&scatter_kernel<How, Sum, T>, {blocks_for(lines.count, kMapThreads)}, kMapThreads,
             call.stream(), lines, along, index_of(call, index, call.in(0).shape[axis]), out,
             value.as<const T>());
}

template <class To>
struct Convert {
  template <class From>
  GPU_DEVICE To operator()(From x) const {
    return convert<To>(x);
  }
};

void scatter(const Call& call) {
  visit_words(call.out().dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    map(call.stream(), walk_over(call.out(), call.in(0)), Convert<T>(), call.out().as<T>(),
        call.in(0).as<const T>());
    scatter_lines<Set, T>(call, call.out().as<T>());
  });
}

// Sums of 16-bit floats are kept in float, and rounded once.
void scatter_add(const Call& call) {
  visit(Numbers(), call.out().dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    using Sum = Wide<T>;
    const Tensor& out = call.out();
    const Tensor& x = call.in(0);
    if constexpr (std::is_same_v<T, Sum>) {
      map(call.stream(), walk_over(out, x), Convert<T>(), out.as<T>(), x.as<const T>());
      scatter_lines<Increase, T>(call, out.as<T>());
    } else {
      Scratch scratch(call.device.memory(), out.size() * sizeof(Sum));
      Sum* sums = scratch.as<Sum>();
      map(call.stream(), walk_over(out, x), Convert<Sum>(), sums, x.as<const T>());
      scatter_lines<Increase, T>(call, sums);
      map(call.stream(), walk_over(out, out), Convert<T>(), out.as<T>(),
          static_cast<const Sum*>(sums));
    }
  });
}

}  // namespace

std::vector<Op> indexing_ops() {
  return {
      {"gather", gather, set_of(Every()), true},
      {"scatter", scatter, set_of(Every()), true},
      {"scatter_add", scatter_add, set_of(Numbers()), true},
  };
}

}  // namespace phynexus
