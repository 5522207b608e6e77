// From the number of an element to where it lies in several tensors at once.
#pragma once

#include <algorithm>
#include <array>

#include "tensor/tensor.h"

namespace phynexus {

// Axes of N tensors of one shape, row-major, each with its strides.
template <int N>
struct Walk {
  int rank = 1;
  int64_t count = 1;
  int64_t shape[kMostAxes] = {1};
  int64_t strides[N][kMostAxes] = {};

  // Writes where element `i` lies in each tensor, in elements from its first.
  GPU_DEVICE void find(int64_t i, int64_t (&places)[N]) const {
    if (rank == 1) {
      for (int k = 0; k < N; ++k) places[k] = i * strides[k][0];
      return;
    }
    for (int k = 0; k < N; ++k) places[k] = 0;
    if (count < int64_t{1} << 31) {  // a division of 32 bits is five times as quick
      uint32_t rest = static_cast<uint32_t>(i);
      GPU_ROLLED for (int axis = rank - 1; axis > 0; --axis) {
        const uint32_t size = static_cast<uint32_t>(shape[axis]);
        const uint32_t above = rest / size;
        for (int k = 0; k < N; ++k) places[k] += (rest - above * size) * strides[k][axis];
        rest = above;
      }
      for (int k = 0; k < N; ++k) places[k] += rest * strides[k][0];
      return;
    }
    int64_t rest = i;
    GPU_ROLLED for (int axis = rank - 1; axis > 0; --axis) {
      const int64_t above = rest / shape[axis];
      for (int k = 0; k < N; ++k) places[k] += (rest - above * shape[axis]) * strides[k][axis];
      rest = above;
    }
    for (int k = 0; k < N; ++k) places[k] += rest * strides[k][0];
  }

  // Where element `i` lies in the only tensor.
  GPU_DEVICE int64_t find(int64_t i) const {
    int64_t places[N];
    find(i, places);
    return places[0];
  }

  // Adds an inner axis; it is merged with the one before where that is the same walk.
  void add(int64_t size, const std::array<int64_t, N>& steps) {
    count *= size;
    if (size == 1) return;
    bool merges = !is_new_;
    for (int k = 0; k < N && merges; ++k) merges = strides[k][rank - 1] == steps[k] * size;
    if (merges) {
      shape[rank - 1] *= size;
    } else {
      if (!is_new_) ++rank;
      shape[rank - 1] = size;
    }
    for (int k = 0; k < N; ++k) strides[k][rank - 1] = steps[k];
    is_new_ = false;
  }

 private:
  bool is_new_ = true;  // no axis has been added
};

// The stride of a tensor along an axis of a shape that it broadcasts to.
inline int64_t broadcast_stride(const Tensor& tensor, int rank, int axis) {
  const int own = axis - (rank - tensor.rank);
  return own < 0 || tensor.shape[own] == 1 ? 0 : tensor.strides[own];
}

// A walk over the first tensor, to which the others broadcast.
template <class... Others>
Walk<1 + sizeof...(Others)> walk_over(const Tensor& first, const Others&... others) {
  Walk<1 + sizeof...(Others)> walk;
  for (int axis = 0; axis < first.rank; ++axis) {
    walk.add(first.shape[axis],
             {first.strides[axis], broadcast_stride(others, first.rank, axis)...});
  }
  return walk;
}

// A walk over some axes of one tensor.
inline Walk<1> walk_along(const Tensor& tensor, const std::vector<int64_t>& axes) {
  Walk<1> walk;
  for (int64_t axis : axes) walk.add(tensor.shape[axis], {tensor.strides[axis]});
  return walk;
}

// As many blocks as `count` threads need; kernels go on in steps of the grid beyond that.
inline int64_t blocks_for(int64_t count, int threads) {
  return std::min<int64_t>((count + threads - 1) / threads, int64_t{1} << 22);
}

}  // namespace phynexus
