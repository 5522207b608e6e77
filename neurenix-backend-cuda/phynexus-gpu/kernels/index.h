// Index tensors.
#pragma once

#include "tensor/tensor.h"

namespace phynexus {

// An index of int64 or int32, which names elements of an axis.
struct Index {
  const void* data;
  bool is_wide;
  int64_t size;  // of the axis
  Fault* fault;
  int op;

  // Reports an index that is out of range, and returns -1 for it.
  GPU_DEVICE int64_t at(int64_t place) const {
    const int64_t index = is_wide ? static_cast<const int64_t*>(data)[place]
                                  : static_cast<const int32_t*>(data)[place];
    if (index >= 0 && index < size) return index;
    report(fault, op, index);
    return -1;
  }
};

inline Index index_of(const Call& call, const Tensor& index, int64_t size) {
  return {index.data, index.dtype == DType::kInt64, size, call.device.fault(), call.op};
}

}  // namespace phynexus
