// Reductions over any axes of a tensor of any strides.
#pragma once

#include <limits>

#include "kernels/block.h"
#include "tensor/walk.h"

namespace phynexus {

constexpr int kReduceThreads = 256;

// What the kernels of a reduction need to know. An output's elements are those that `inner` walks
// over, from where `outer` puts the output; they are cut into `splits` parts of `part` elements.
struct Reduction {
  Walk<1> outer;
  Walk<1> inner;
  int splits;
  int64_t part;
};

// A block an output and part: for elements that lie side by side, or many of them.
template <class Rule>
GPU_KERNEL void reduce_rows(Reduction shape, Rule rule, const typename Rule::In* x,
                            typename Rule::Sum* sums, typename Rule::Out* out) {
  using Sum = typename Rule::Sum;
  const int split = gpu_block_y();
  const int64_t begin = split * shape.part;
  const int64_t end =
      shape.inner.count < begin + shape.part ? shape.inner.count : begin + shape.part;
  for (int64_t o = gpu_block_x(); o < shape.outer.count; o += gpu_blocks_x()) {
    const typename Rule::In* row = x + shape.outer.find(o);
    Sum sum = rule.nothing();
    for (int64_t i = begin + gpu_thread(); i < end; i += gpu_threads()) {
      sum = rule.combine(sum, rule.term(row[shape.inner.find(i)], i));
    }
    sum = combine_block(sum, [&](Sum a, Sum b) { return rule.combine(a, b); });
    if (gpu_thread() == 0) {
      if (shape.splits == 1) {
        out[o] = rule.result(sum);
      } else {
        sums[o * shape.splits + split] = sum;
      }
    }
  }
}

// A thread an output and part: for outputs that lie side by side, or few elements.
template <class Rule>
GPU_KERNEL void reduce_columns(Reduction shape, Rule rule, const typename Rule::In* x,
                               typename Rule::Sum* sums, typename Rule::Out* out) {
  using Sum = typename Rule::Sum;
  const int split = gpu_block_y();
  const int64_t begin = split * shape.part;
  const int64_t end =
      shape.inner.count < begin + shape.part ? shape.inner.count : begin + shape.part;
  for (int64_t o = gpu_block_x() * gpu_threads() + gpu_thread(); o < shape.outer.count;
       o += gpu_blocks_x() * gpu_threads()) {
    const typename Rule::In* column = x + shape.outer.find(o);
    Sum sum = rule.nothing();
    for (int64_t i = begin; i < end; ++i) {
      sum = rule.combine(sum, rule.term(column[shape.inner.find(i)], i));
    }
    if (shape.splits == 1) {
      out[o] = rule.result(sum);
    } else {
      sums[o * shape.splits + split] = sum;
    }
  }
}

// Combines the parts of each output, in their order.
template <class Rule>
GPU_KERNEL void combine_parts(int64_t count, int splits, Rule rule, const typename Rule::Sum* sums,
                              typename Rule::Out* out) {
  for (int64_t o = gpu_block_x() * gpu_threads() + gpu_thread(); o < count;
       o += gpu_blocks_x() * gpu_threads()) {
    typename Rule::Sum sum = rule.nothing();
    for (int split = 0; split < splits; ++split) {
      sum = rule.combine(sum, sums[o * splits + split]);
    }
    out[o] = rule.result(sum);
  }
}

// Reduces a tensor over some of its axes, in ascending order; `out` is dense.
template <class Rule>
void reduce(Device& device, const Tensor& x, const std::vector<int64_t>& axes, Rule rule,
            typename Rule::Out* out) {
  constexpr int64_t kEnoughBlocks = 512;  // a few for each multiprocessor
  constexpr int64_t kSmallestPart = 1024;
  std::vector<int64_t> kept;
  for (int axis = 0; axis < x.rank; ++axis) {
    if (std::find(axes.begin(), axes.end(), axis) == axes.end()) kept.push_back(axis);
  }
  Reduction shape{walk_along(x, kept), walk_along(x, axes), 1, 0};
  const int64_t outputs = shape.outer.count;
  const int64_t elements = shape.inner.count;
  if (outputs == 0) return;
  const bool beside =
      shape.outer.strides[0][shape.outer.rank - 1] < shape.inner.strides[0][shape.inner.rank - 1];
  const bool by_columns = elements < 32 || (beside && outputs >= 32);
  const int64_t blocks = by_columns ? blocks_for(outputs, kReduceThreads)
                                    : std::min<int64_t>(outputs, int64_t{1} << 22);
  // The parts depend on the shape alone, so that so do the bits of the result.
  const int64_t wanted = std::min(kEnoughBlocks / blocks, elements / kSmallestPart);
  shape.splits = static_cast<int>(std::max<int64_t>(wanted, 1));
  shape.part = (elements + shape.splits - 1) / shape.splits;
  Scratch sums(device.memory(),
               shape.splits > 1 ? outputs * shape.splits * sizeof(typename Rule::Sum) : 0);
  auto* partial = sums.as<typename Rule::Sum>();
  gpu_launch(by_columns ? &reduce_columns<Rule> : &reduce_rows<Rule>, {blocks, shape.splits},
             kReduceThreads, device.stream(), shape, rule, x.as<const typename Rule::In>(), partial,
             out);
  if (shape.splits > 1) {
    gpu_launch(&combine_parts<Rule>, {blocks_for(outputs, kReduceThreads)}, kReduceThreads,
               device.stream(), outputs, shape.splits, rule, partial, out);
  }
}

// Rules -----------------------------------------------------------------------------------------

template <class T>
struct SumRule {
  using In = T;
  // Integers are summed, and given, as int64.
  using Sum = std::conditional_t<is_float<T>, Wide<T>, int64_t>;
  using Out = std::conditional_t<is_float<T>, T, int64_t>;

  GPU_DEVICE Sum nothing() const { return Sum(0); }
  GPU_DEVICE Sum term(T x, int64_t) const { return static_cast<Sum>(x); }
  GPU_DEVICE Sum combine(Sum a, Sum b) const { return a + b; }
  GPU_DEVICE Out result(Sum sum) const { return convert<Out>(sum); }
};

template <class T>
struct ProductRule : SumRule<T> {
  using typename SumRule<T>::Sum;
  GPU_DEVICE Sum nothing() const { return Sum(1); }
  GPU_DEVICE Sum combine(Sum a, Sum b) const { return a * b; }
};

// A value and where it is; the first of equal ones counts, and a NaN before every number.
template <class T>
struct Found {
  T value;
  int64_t place;  // negative: none
};

template <class T, bool kLargest>
struct ExtremumRule {
  using In = T;
  using Sum = Found<Wide<T>>;
  using Out = T;

  GPU_DEVICE Sum nothing() const { return {Wide<T>(0), -1}; }
  GPU_DEVICE Sum term(T x, int64_t place) const { return {static_cast<Wide<T>>(x), place}; }
  GPU_DEVICE Sum combine(const Sum& a, const Sum& b) const {
    if (a.place < 0 || b.place < 0) return a.place < 0 ? b : a;
    const bool a_nan = a.value != a.value;
    const bool b_nan = b.value != b.value;
    if (a_nan || b_nan) {
      if (a_nan && b_nan) return a.place < b.place ? a : b;
      return a_nan ? a : b;
    }
    if (a.value == b.value) return a.place < b.place ? a : b;
    const bool a_wins = kLargest ? a.value > b.value : a.value < b.value;
    return a_wins ? a : b;
  }
  GPU_DEVICE Out result(const Sum& sum) const { return convert<Out>(sum.value); }
};

template <class T, bool kLargest>
struct PlaceRule : ExtremumRule<T, kLargest> {
  using Out = int64_t;
  GPU_DEVICE Out result(const typename ExtremumRule<T, kLargest>::Sum& sum) const {
    return sum.place;
  }
};

}  // namespace phynexus
