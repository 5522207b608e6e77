// Reductions over any axes of a tensor of any strides.
#pragma once

#include <optional>

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

// A rule says what is reduced, and how:
//   Sum                         what is kept of some elements
//   nothing()                   of none
//   term(place, output, i)      of element i of an output, which lies at `place` in the tensor
//   combine(a, b)               of both, a being before b
//   store(output, sum)          writes the result

// A block an output and part: for elements that lie side by side, or many of them.
template <class Rule>
GPU_KERNEL void reduce_rows(Reduction shape, Rule rule, typename Rule::Sum* sums) {
  using Sum = typename Rule::Sum;
  const int split = gpu_block_y();
  const int64_t begin = split * shape.part;
  const int64_t end =
      shape.inner.count < begin + shape.part ? shape.inner.count : begin + shape.part;
  for (int64_t o = gpu_block_x(); o < shape.outer.count; o += gpu_blocks_x()) {
    const int64_t first = shape.outer.find(o);
    Sum sum = rule.nothing();
    for (int64_t i = begin + gpu_thread(); i < end; i += gpu_threads()) {
      sum = rule.combine(sum, rule.term(first + shape.inner.find(i), o, i));
    }
    sum = combine_block(sum, [&](const Sum& a, const Sum& b) { return rule.combine(a, b); });
    if (gpu_thread() == 0) {
      if (shape.splits == 1) {
        rule.store(o, sum);
      } else {
        sums[o * shape.splits + split] = sum;
      }
    }
  }
}

// A thread an output and part: for outputs that lie side by side, or few elements.
template <class Rule>
GPU_KERNEL void reduce_columns(Reduction shape, Rule rule, typename Rule::Sum* sums) {
  using Sum = typename Rule::Sum;
  const int split = gpu_block_y();
  const int64_t begin = split * shape.part;
  const int64_t end =
      shape.inner.count < begin + shape.part ? shape.inner.count : begin + shape.part;
  for (int64_t o = gpu_block_x() * gpu_threads() + gpu_thread(); o < shape.outer.count;
       o += gpu_blocks_x() * gpu_threads()) {
    const int64_t first = shape.outer.find(o);
    Sum sum = rule.nothing();
    for (int64_t i = begin; i < end; ++i) {
      sum = rule.combine(sum, rule.term(first + shape.inner.find(i), o, i));
    }
    if (shape.splits == 1) {
      rule.store(o, sum);
    } else {
      sums[o * shape.splits + split] = sum;
    }
  }
}

// Combines the parts of each output, in their order.
template <class Rule>
GPU_KERNEL void combine_parts(int64_t count, int splits, Rule rule,
                              const typename Rule::Sum* sums) {
  for (int64_t o = gpu_block_x() * gpu_threads() + gpu_thread(); o < count;
       o += gpu_blocks_x() * gpu_threads()) {
    typename Rule::Sum sum = rule.nothing();
    for (int split = 0; split < splits; ++split) {
      sum = rule.combine(sum, sums[o * splits + split]);
    }
    rule.store(o, sum);
  }
}

// Reduces a tensor over some of its axes, in ascending order. Outputs are numbered in the order of
// the other axes.
template <class Rule>
void reduce(Device& device, const Tensor& x, const std::vector<int64_t>& axes, const Rule& rule) {
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
  using Sum = typename Rule::Sum;
  std::optional<Scratch> scratch;
  if (shape.splits > 1) {
    scratch.emplace(device.memory(), outputs * shape.splits * sizeof(Sum));
  }
  Sum* sums = scratch ? scratch->as<Sum>() : nullptr;
  gpu_launch(by_columns ? &reduce_columns<Rule> : &reduce_rows<Rule>, {blocks, shape.splits},
             kReduceThreads, device.stream(), shape, rule, sums);
  if (shape.splits > 1) {
    gpu_launch(&combine_parts<Rule>, {blocks_for(outputs, kReduceThreads)}, kReduceThreads,
               device.stream(), outputs, shape.splits, rule, sums);
  }
}

}  // namespace phynexus
