// Ops that make, move, choose and convert elements.
#include "kernels/map.h"
#include "kernels/table.h"
#include "tensor/numbers.h"

namespace phynexus {

namespace {

struct Same {
  template <class T>
  GPU_DEVICE T operator()(T x) const {
    return x;
  }
};

struct Choose {
  template <class T>
  GPU_DEVICE T operator()(bool condition, T x, T y) const {
    return condition ? x : y;
  }
};

template <class T>
struct Constant {
  T value;
  GPU_DEVICE T operator()() const { return value; }
};

void copy_tensor(const Tensor& out, const Tensor& x, gpu_stream stream) {
  visit_words(out.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    map(stream, walk_over(out, x), Same(), out.as<T>(), x.as<const T>());
  });
}

// Strided to strided.
void copy(const Call& call) { copy_tensor(call.out(), call.in(0), call.stream()); }

// The dtype that is read is known at run time only: a kernel for each pair would be a hundred.
template <class To>
GPU_KERNEL void cast_kernel(Walk<2> walk, To* out, AnyNumbers x) {
  const int64_t step = gpu_blocks_x() * kMapThreads * kMapItems;
  int64_t first = gpu_block_x() * kMapThreads * kMapItems + gpu_thread();
  for (; first < walk.count; first += step) {
    int64_t targets[kMapItems];
    uint64_t bits[kMapItems];  // all are read before any is converted
    for (int item = 0; item < kMapItems; ++item) {
      const int64_t i = first + item * kMapThreads;
      if (i >= walk.count) break;
      int64_t places[2];
      walk.find(i, places);
      targets[item] = places[0];
      bits[item] = x.bits(places[1]);
    }
    for (int item = 0; item < kMapItems; ++item) {
      if (first + item * kMapThreads < walk.count) out[targets[item]] = x.value<To>(bits[item]);
    }
  }
}

void cast(const Call& call) {
  const Tensor& x = call.in(0);
  const Walk<2> walk = walk_over(call.out(), x);
  if (walk.count == 0) return;
  visit(Every(), call.out().dtype, [&](auto tag) {
    using To = typename decltype(tag)::type;
    gpu_launch(&cast_kernel<To>, {blocks_for(walk.count, kMapThreads * kMapItems)}, kMapThreads,
               call.stream(), walk, call.out().as<To>(), AnyNumbers{x.data, x.dtype});
  });
}

void where(const Call& call) {
  visit_words(call.out().dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    map(call.stream(), walk_over(call.out(), call.in(0), call.in(1), call.in(2)), Choose(),
        call.out().as<T>(), call.in(0).as<const bool>(), call.in(1).as<const T>(),
        call.in(2).as<const T>());
  });
}

void fill(const Call& call) {
  const Scalar value = call.attributes.scalar("value");
  visit(Every(), call.out().dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    map(call.stream(), walk_over(call.out()), Constant<T>{value.as<T>()}, call.out().as<T>());
  });
}

template <class T>
GPU_KERNEL void iota_kernel(T* out, int64_t size, Scalar start, Scalar step) {
  for (int64_t i = gpu_block_x() * gpu_threads() + gpu_thread(); i < size;
       i += gpu_blocks_x() * gpu_threads()) {
    if (start.is_integer && step.is_integer) {
      out[i] = convert<T>(start.integer + i * step.integer);
    } else {  // in float64, so that long ranges do not drift
      out[i] = convert<T>(start.real + static_cast<double>(i) * step.real);
    }
  }
}

void iota(const Call& call) {
  const int64_t size = call.out().size();
  if (size == 0) return;
  visit(Numbers(), call.out().dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    gpu_launch(&iota_kernel<T>, {blocks_for(size, kMapThreads)}, kMapThreads, call.stream(),
               call.out().as<T>(), size, call.attributes.scalar("start"),
               call.attributes.scalar("step"));
  });
}

}  // namespace

void copy_to_dense(const Tensor& from, void* to, Device& device) {
  Tensor out = from;
  out.data = to;
  int64_t step = 1;
  for (int axis = from.rank - 1; axis >= 0; --axis) {
    out.strides[axis] = step;
    step *= from.shape[axis];
  }
  copy_tensor(out, from, device.stream());
}

std::vector<Op> movement_ops() {
  return {
      {"cast", cast, set_of(Every()), true},         {"copy", copy, set_of(Every()), true},
      {"fill", fill, set_of(Every()), true},         {"iota", iota, set_of(Numbers()), true},
      {"where", where, set_of(Every()), true, true},
  };
}

}  // namespace phynexus
