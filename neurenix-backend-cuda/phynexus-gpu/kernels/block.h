// Combining the values of the threads of a block.
#pragma once

#include "vendor/gpu.h"

namespace phynexus {

constexpr int kMostWarps = 32;

// Combines the values of all threads, and gives every thread the result. The tree is fixed by the
// number of threads and the size of a warp: the same values always give the same bits.
template <class T, class Combine>
GPU_DEVICE T combine_block(T value, const Combine& combine) {
  GPU_SHARED(T, partial, [kMostWarps]);
  const int warp_size = gpu_warp_size();
  const int lane = gpu_thread() % warp_size;
  for (int by = warp_size / 2; by > 0; by /= 2) {
    const T other = gpu_shfl_down(value, by);
    if (lane < by) value = combine(value, other);
  }
  gpu_sync();  // everybody has read the result of a call before
  if (lane == 0) partial[gpu_thread() / warp_size] = value;
  gpu_sync();
  T total = partial[0];
  for (int warp = 1; warp < gpu_threads() / warp_size; ++warp) {
    total = combine(total, partial[warp]);
  }
  return total;
}

}  // namespace phynexus
