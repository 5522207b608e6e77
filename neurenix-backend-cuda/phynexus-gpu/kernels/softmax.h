// What a block finds out about a row before its softmax is taken.
#pragma once

#include <limits>

#include "kernels/arithmetic.h"
#include "kernels/block.h"
#include "kernels/rows.h"

namespace phynexus {

// One warp's worth of threads is enough for a short row.
inline int threads_for(const Rows& rows) { return rows.length > 256 ? 256 : 64; }
inline int64_t blocks_of(const Rows& rows) {
  return std::min<int64_t>(rows.count, int64_t{1} << 22);
}

template <class T>
struct LargestAndTotal {
  T largest;
  T total;  // of exp(x - largest)
};

template <class T>
GPU_DEVICE LargestAndTotal<Wide<T>> largest_and_total(const T* row, const Rows& rows) {
  using W = Wide<T>;
  W largest = -std::numeric_limits<W>::infinity();
  for (int64_t i = gpu_thread(); i < rows.length; i += gpu_threads()) {
    largest = arithmetic::Maximum()(largest, static_cast<W>(row[i * rows.inner]));
  }
  largest = combine_block(largest, arithmetic::Maximum());
  W total = 0;
  for (int64_t i = gpu_thread(); i < rows.length; i += gpu_threads()) {
    total += std::exp(static_cast<W>(row[i * rows.inner]) - largest);
  }
  return {largest, combine_block(total, arithmetic::Add())};
}

}  // namespace phynexus
