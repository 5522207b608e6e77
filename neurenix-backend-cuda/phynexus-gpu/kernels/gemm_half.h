// Matrix products of 16-bit floats by fragments; loaders and stores are those of `gemm.h`.
#pragma once

#include "kernels/gemm_tiles.h"
#include "vendor/fragments.h"

namespace phynexus {

constexpr int kHalfDepth = 32;  // of the part that is in shared memory
constexpr int kHalfPad = 8;     // 16 bytes: rows begin in different banks
constexpr int kHalfBands = 4;   // of 16 rows, each for a quarter of the warps
// Fragments that a warp adds up side by side: 8 warps of 8 columns, or 4 of 16, are a tile's 64.
constexpr int kHalfAcross = 4;

template <class T, class Loader>
GPU_DEVICE void load_half_tile(T (&tile)[kGemmTile][kHalfDepth + kHalfPad], const Loader& loader,
                               const typename Loader::Start& start, int64_t outer,
                               int64_t outer_end, int64_t depth, int64_t depth_end) {
  for (int item = gpu_thread(); item < kGemmTile * kHalfDepth; item += kGemmThreads) {
    const int k = loader.depth_is_inner ? item % kHalfDepth : item / kGemmTile;
    const int i = loader.depth_is_inner ? item / kHalfDepth : item % kGemmTile;
    const bool inside = outer + i < outer_end && depth + k < depth_end;
    tile[i][k] = T(inside ? loader.at(start, outer + i, depth + k) : 0.0f);
  }
}

template <class Left, class Right, class Store>
GPU_KERNEL void gemm_half_kernel(GemmShape shape, Left left, Right right, Store store) {
  using T = typename Left::Element;
  using Fragments = gpu_fragments<T>;
  GPU_SHARED(T, left_tile, [kGemmTile][kHalfDepth + kHalfPad]);
  GPU_SHARED(T, right_tile, [kGemmTile][kHalfDepth + kHalfPad]);
  const GemmBlock block = block_of(shape, gpu_block_x());
  const auto left_start = left.start(block.batch);
  const auto right_start = right.start(block.batch);
  const int warp = gpu_thread() / gpu_warp_size();
  const int row = warp % kHalfBands * Fragments::rows();
  const int column = warp / kHalfBands * kHalfAcross * Fragments::columns();
  typename Fragments::Sums sums[kHalfAcross];
  for (int64_t depth = block.begin; depth < block.end; depth += kHalfDepth) {
    load_half_tile(left_tile, left, left_start, block.row, shape.rows, depth, block.end);
    load_half_tile(right_tile, right, right_start, block.column, shape.columns, depth, block.end);
    gpu_sync();
    for (int k = 0; k < kHalfDepth; k += Fragments::depth()) {
      typename Fragments::Left a;
      Fragments::load(a, &left_tile[row][k], kHalfDepth + kHalfPad);
      for (int i = 0; i < kHalfAcross; ++i) {
        typename Fragments::Right b;
        Fragments::load(b, &right_tile[column + i * Fragments::columns()][k],
                        kHalfDepth + kHalfPad);
        Fragments::multiply(sums[i], a, b);
      }
    }
    gpu_sync();  // before the tiles are written again
  }
  for (int i = 0; i < kHalfAcross; ++i) {
    Fragments::for_each(sums[i], [&](int r, int c, float sum) {
      const int64_t at_row = block.row + row + r;
      const int64_t at_column = block.column + column + i * Fragments::columns() + c;
      if (at_row < shape.rows && at_column < shape.columns) {
        store.put(block.number, at_row, at_column, sum);
      }
    });
  }
}

}  // namespace phynexus
