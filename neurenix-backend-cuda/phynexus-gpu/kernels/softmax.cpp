// softmax, log_softmax, the cross entropy of class indices, and their gradients: a block a row.
#include "kernels/softmax.h"

#include "kernels/table.h"
#include "tensor/walk.h"

namespace phynexus {

namespace {

template <class T, bool kLog>
GPU_KERNEL void softmax_kernel(Rows rows, T* out, const T* x) {
  using W = Wide<T>;
  for (int64_t r = gpu_block_x(); r < rows.count; r += gpu_blocks_x()) {
    const T* row = x + rows.first(r);
    T* target = out + rows.first(r);
    const LargestAndTotal<W> found = largest_and_total(row, rows);
    const W shift = kLog ? std::log(found.total) : W(0);
    for (int64_t i = gpu_thread(); i < rows.length; i += gpu_threads()) {
      const W centred = static_cast<W>(row[i * rows.inner]) - found.largest;
      target[i * rows.inner] = convert<T>(kLog ? centred - shift : std::exp(centred) / found.total);
    }
  }
}

// softmax: y (grad - sum(grad y)); log_softmax: grad - exp(y) sum(grad).
template <class T, bool kLog>
GPU_KERNEL void softmax_backward_kernel(Rows rows, T* out, const T* grad, const T* result) {
  using W = Wide<T>;
  for (int64_t r = gpu_block_x(); r < rows.count; r += gpu_blocks_x()) {
    const int64_t first = rows.first(r);
    W total = 0;
    for (int64_t i = gpu_thread(); i < rows.length; i += gpu_threads()) {
      const int64_t place = first + i * rows.inner;
      const W g = static_cast<W>(grad[place]);
      total += kLog ? g : g * static_cast<W>(result[place]);
    }
    total = combine_block(total, arithmetic::Add());
    for (int64_t i = gpu_thread(); i < rows.length; i += gpu_threads()) {
      const int64_t place = first + i * rows.inner;
      const W g = static_cast<W>(grad[place]);
      const W y = static_cast<W>(result[place]);
      out[place] = convert<T>(kLog ? g - std::exp(y) * total : y * (g - total));
    }
  }
}

// The class of each sample, of int64 or int32.
struct Classes {
  const void* data;
  bool is_wide;
  GPU_DEVICE int64_t at(int64_t row) const {
    return is_wide ? static_cast<const int64_t*>(data)[row]
                   : static_cast<const int32_t*>(data)[row];
  }
};

template <class T>
GPU_KERNEL void pick_kernel(Rows rows, T* loss, const T* log_probs, Classes target, Fault* fault,
                            int op) {
  for (int64_t r = gpu_block_x() * gpu_threads() + gpu_thread(); r < rows.count;
       r += gpu_blocks_x() * gpu_threads()) {
    const int64_t chosen = target.at(r);
    const bool exists = chosen >= 0 && chosen < rows.length;
    if (!exists) report(fault, op, chosen);
    loss[r] = exists ? T(-static_cast<Wide<T>>(log_probs[r * rows.length + chosen])) : T(0);
  }
}

template <class T>
GPU_KERNEL void cross_entropy_backward_kernel(Rows rows, T* out, const T* grad, const T* log_probs,
                                              Classes target) {
  using W = Wide<T>;
  const int64_t size = rows.count * rows.length;
  for (int64_t i = gpu_block_x() * gpu_threads() + gpu_thread(); i < size;
       i += gpu_blocks_x() * gpu_threads()) {
    const int64_t row = i / rows.length;
    const W one = i - row * rows.length == target.at(row) ? W(1) : W(0);
    const W slope = std::exp(static_cast<W>(log_probs[i])) - one;
    out[i] = convert<T>(slope * static_cast<W>(grad[row]));
  }
}

template <bool kLog>
void softmax(const Call& call) {
  const Rows rows = rows_of(call.in(0), static_cast<int>(call.attributes.integer("axis")));
  if (rows.count * rows.length == 0) return;
  visit(Floats(), call.in(0).dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    gpu_launch(&softmax_kernel<T, kLog>, {blocks_of(rows)}, threads_for(rows), call.stream(), rows,
               call.out().as<T>(), call.in(0).as<const T>());
  });
}

template <bool kLog>
void softmax_backward(const Call& call) {
  const Rows rows = rows_of(call.in(0), static_cast<int>(call.attributes.integer("axis")));
  if (rows.count * rows.length == 0) return;
  visit(Floats(), call.in(0).dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    gpu_launch(&softmax_backward_kernel<T, kLog>, {blocks_of(rows)}, threads_for(rows),
               call.stream(), rows, call.out().as<T>(), call.in(0).as<const T>(),
               call.in(1).as<const T>());
  });
}

Classes classes_of(const Tensor& target) { return {target.data, target.dtype == DType::kInt64}; }

void cross_entropy(const Call& call) {
  const Rows rows = rows_of(call.in(0), 1);
  if (rows.count == 0) return;
  visit(Floats(), call.in(0).dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    T* log_probs = call.out(1).as<T>();
    gpu_launch(&softmax_kernel<T, true>, {blocks_of(rows)}, threads_for(rows), call.stream(), rows,
               log_probs, call.in(0).as<const T>());
    gpu_launch(&pick_kernel<T>, {blocks_for(rows.count, 256)}, 256, call.stream(), rows,
               call.out(0).as<T>(), static_cast<const T*>(log_probs), classes_of(call.in(1)),
               call.device.fault(), call.op);
  });
}

void cross_entropy_backward(const Call& call) {
  const Rows rows = rows_of(call.in(1), 1);
  if (rows.count * rows.length == 0) return;
  visit(Floats(), call.in(1).dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    gpu_launch(&cross_entropy_backward_kernel<T>, {blocks_for(rows.count * rows.length, 256)}, 256,
               call.stream(), rows, call.out().as<T>(), call.in(0).as<const T>(),
               call.in(2).as<const T>(), classes_of(call.in(3)));
  });
}

}  // namespace

std::vector<Op> softmax_ops() {
  const DTypeSet floats = set_of(Floats());
  const DTypeSet with_classes = floats | set_of(Types<int64_t, int32_t>());
  return {
      {"log_softmax", softmax<true>, floats},
      {"log_softmax_backward", softmax_backward<true>, floats},
      {"softmax", softmax<false>, floats},
      {"softmax_backward", softmax_backward<false>, floats},
      {"softmax_cross_entropy", cross_entropy, with_classes},
      {"softmax_cross_entropy_backward", cross_entropy_backward, with_classes},
  };
}

}  // namespace phynexus
