// The rows of a dense tensor along any of its axes.
#pragma once

#include "tensor/tensor.h"

namespace phynexus {

// Element i of row r is at (r / inner) * length * inner + i * inner + r % inner.
struct Rows {
  int64_t count;
  int64_t length;
  int64_t inner;

  GPU_DEVICE int64_t first(int64_t row) const { return row / inner * length * inner + row % inner; }
};

inline Rows rows_of(const Tensor& x, int axis) {
  const int64_t inner = x.size(axis + 1, x.rank);
  return {x.size(0, axis) * inner, x.shape[axis], inner};
}

}  // namespace phynexus
