// Ops that make, move, choose and convert elements.
#include "kernels/map.h"
#include "kernels/table.h"

namespace phynexus {

namespace {

struct Same {
  template <class T>
  GPU_DEVICE T operator()(T x) const {
    return x;
  }
};

template <class To>
struct Convert {
  template <class From>
  GPU_DEVICE To operator()(From x) const {
    return convert<To>(x);
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

void cast(const Call& call) {
  visit(Every(), call.in(0).dtype, [&](auto from) {
    using From = typename decltype(from)::type;
    visit(Every(), call.out().dtype, [&](auto to) {
      using To = typename decltype(to)::type;
      map(call.stream(), walk_over(call.out(), call.in(0)), Convert<To>(), call.out().as<To>(),
          call.in(0).as<const From>());
    });
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
