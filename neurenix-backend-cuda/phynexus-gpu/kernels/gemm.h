// Matrix products of anything that can be read as matrices: tiles in shared memory, 4 x 4 sums a
// thread. What is multiplied comes from loaders, what is done with the sums is a store's: matmul,
// convolution and their gradients are this kernel with loaders of their own.
//
// A loader is a struct with
//   Element, Value               what is stored, and what it gives; sums are of the latter type
//   depth_is_inner               whether elements along the depth are neighbours in memory
//   start(batch)                 what it needs to know of a matrix, computed once a block
//   at(start, outer, depth)      an element; `outer` is a row of the left matrix, a column of the
//                                right one
// and a store has put(batch, row, column, sum).
#pragma once

#include "kernels/gemm_half.h"
#include "kernels/map.h"

namespace phynexus {

constexpr int kGemmDepth = 16;  // of the part that is in shared memory
constexpr int kGemmPad = 4;     // keeps threads that write a column off each other's banks
constexpr int kGemmSide = 4;    // rows and columns of a thread, 16 apart

template <class Sum, class Loader>
GPU_DEVICE void load_tile(Sum (&tile)[kGemmDepth][kGemmTile + kGemmPad], const Loader& loader,
                          const typename Loader::Start& start, int64_t outer, int64_t outer_end,
                          int64_t depth, int64_t depth_end) {
  for (int item = gpu_thread(); item < kGemmTile * kGemmDepth; item += kGemmThreads) {
    // Neighbouring threads read neighbouring elements.
    const int k = loader.depth_is_inner ? item % kGemmDepth : item / kGemmTile;
    const int i = loader.depth_is_inner ? item / kGemmDepth : item % kGemmTile;
    const bool inside = outer + i < outer_end && depth + k < depth_end;
    tile[k][i] = inside ? loader.at(start, outer + i, depth + k) : Sum(0);
  }
}

template <class Left, class Right, class Store>
GPU_KERNEL void gemm_kernel(GemmShape shape, Left left, Right right, Store store) {
  using Sum = typename Left::Value;
  GPU_SHARED(Sum, left_tile, [kGemmDepth][kGemmTile + kGemmPad]);
  GPU_SHARED(Sum, right_tile, [kGemmDepth][kGemmTile + kGemmPad]);
  const GemmBlock block = block_of(shape, gpu_block_x());
  const auto left_start = left.start(block.batch);
  const auto right_start = right.start(block.batch);
  const int x = gpu_thread() % kGemmDepth;
  const int y = gpu_thread() / kGemmDepth;
  Sum sums[kGemmSide][kGemmSide] = {};
  for (int64_t depth = block.begin; depth < block.end; depth += kGemmDepth) {
    load_tile(left_tile, left, left_start, block.row, shape.rows, depth, block.end);
    load_tile(right_tile, right, right_start, block.column, shape.columns, depth, block.end);
    gpu_sync();
    for (int k = 0; k < kGemmDepth; ++k) {
      Sum a[kGemmSide];
      Sum b[kGemmSide];
      for (int i = 0; i < kGemmSide; ++i) {
        a[i] = left_tile[k][y + i * 16];
        b[i] = right_tile[k][x + i * 16];
      }
      for (int i = 0; i < kGemmSide; ++i) {
        for (int j = 0; j < kGemmSide; ++j) sums[i][j] += a[i] * b[j];
      }
    }
    gpu_sync();  // before the tiles are written again
  }
  for (int i = 0; i < kGemmSide; ++i) {
    for (int j = 0; j < kGemmSide; ++j) {
      const int64_t r = block.row + y + i * 16;
      const int64_t c = block.column + x + j * 16;
      if (r < shape.rows && c < shape.columns) store.put(block.number, r, c, sums[i][j]);
    }
  }
}

// Keeps the sums of a part of the depth.
template <class Sum>
struct PartialStore {
  Sum* sums;
  int64_t rows;
  int64_t columns;
  GPU_DEVICE void put(int64_t part, int64_t row, int64_t column, Sum sum) const {
    sums[(part * rows + row) * columns + column] = sum;
  }
};

// Adds the parts up, in their order.
template <class Sum, class Store>
GPU_KERNEL void add_parts(GemmShape shape, const Sum* sums, Store store) {
  const int64_t size = shape.rows * shape.columns;
  for (int64_t i = gpu_block_x() * gpu_threads() + gpu_thread(); i < shape.batches * size;
       i += gpu_blocks_x() * gpu_threads()) {
    const int64_t batch = i / size;
    const int64_t place = i % size;
    Sum sum = 0;
    for (int64_t split = 0; split < shape.splits; ++split) {
      sum += sums[(batch * shape.splits + split) * size + place];
    }
    store.put(batch, place / shape.columns, place % shape.columns, sum);
  }
}

template <class Left, class Right, class Store>
void launch_gemm(int64_t blocks, gpu_stream stream, const GemmShape& shape, const Left& left,
                 const Right& right, const Store& store) {
  if constexpr (is_half<typename Left::Element>) {
    gpu_launch(&gemm_half_kernel<Left, Right, Store>, {blocks}, kGemmThreads, stream, shape, left,
               right, store);
  } else {
    gpu_launch(&gemm_kernel<Left, Right, Store>, {blocks}, kGemmThreads, stream, shape, left, right,
               store);
  }
}

// store(batch, row, column) = sum over the depth of left(row, depth) * right(column, depth).
template <class Left, class Right, class Store>
void gemm(Device& device, GemmShape shape, const Left& left, const Right& right,
          const Store& store) {
  using Sum = typename Left::Value;
  constexpr int64_t kEnoughBlocks = 256;
  constexpr int64_t kSmallestPart = 512;
  const int64_t tiles = shape.batches * shape.tiles_down() * shape.tiles_across();
  if (tiles == 0) return;
  // Few tiles of a long sum, as in a gradient of weights. The parts depend on the shape alone.
  const int64_t wanted = std::min(kEnoughBlocks / tiles, shape.depth / kSmallestPart);
  shape.splits = std::max<int64_t>(wanted, 1);
  shape.part = (shape.depth + shape.splits - 1) / shape.splits;
  if (shape.splits == 1) {
    launch_gemm(tiles, device.stream(), shape, left, right, store);
    return;
  }
  const int64_t size = shape.batches * shape.rows * shape.columns;
  Scratch scratch(device.memory(), size * shape.splits * sizeof(Sum));
  const PartialStore<Sum> parts{scratch.as<Sum>(), shape.rows, shape.columns};
  launch_gemm(tiles * shape.splits, device.stream(), shape, left, right, parts);
  gpu_launch(&add_parts<Sum, Store>, {blocks_for(size, kMapThreads)}, kMapThreads, device.stream(),
             shape, scratch.as<Sum>(), store);
}

// A matrix of any strides.
template <class T>
struct MatrixLoader {
  using Element = T;
  using Value = Wide<T>;
  using Start = const T*;

  const T* data;
  Walk<1> batches;
  int64_t outer_stride;
  int64_t depth_stride;
  bool depth_is_inner;

  GPU_DEVICE Start start(int64_t batch) const { return data + batches.find(batch); }
  GPU_DEVICE Value at(Start start, int64_t outer, int64_t depth) const {
    return static_cast<Value>(start[outer * outer_stride + depth * depth_stride]);
  }
};

// A dense output, to which a bias may be added: one number a column.
template <class T>
struct MatrixStore {
  T* out;
  const T* bias;
  int64_t rows;
  int64_t columns;

  GPU_DEVICE void put(int64_t batch, int64_t row, int64_t column, Wide<T> sum) const {
    if (bias != nullptr) sum += static_cast<Wide<T>>(bias[column]);
    out[(batch * rows + row) * columns + column] = convert<T>(sum);
  }
};

}  // namespace phynexus
