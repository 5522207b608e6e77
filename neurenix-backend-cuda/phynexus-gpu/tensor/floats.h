// Floats whose dtype is known at run time only: where few are read, or where operands of several
// dtypes would need a kernel for each combination.
#pragma once

#include "tensor/tensor.h"

namespace phynexus {

struct AnyFloats {
  void* data = nullptr;
  DType dtype = DType::kFloat32;

  template <class T>
  GPU_DEVICE T at(int64_t i) const {
    switch (dtype) {
      case DType::kFloat64:
        return static_cast<T>(static_cast<const double*>(data)[i]);
      case DType::kFloat16:
        return static_cast<T>(static_cast<float>(static_cast<const gpu_f16*>(data)[i]));
      case DType::kBfloat16:
        return static_cast<T>(static_cast<float>(static_cast<const gpu_bf16*>(data)[i]));
      default:
        return static_cast<T>(static_cast<const float*>(data)[i]);
    }
  }
  // An element, or a value where the op leaves the tensor out.
  template <class T>
  GPU_DEVICE T at_or(int64_t i, T otherwise) const {
    return data == nullptr ? otherwise : at<T>(i);
  }
  template <class T>
  GPU_DEVICE void put(int64_t i, T value) const {
    switch (dtype) {
      case DType::kFloat64:
        static_cast<double*>(data)[i] = convert<double>(value);
        return;
      case DType::kFloat16:
        static_cast<gpu_f16*>(data)[i] = convert<gpu_f16>(value);
        return;
      case DType::kBfloat16:
        static_cast<gpu_bf16*>(data)[i] = convert<gpu_bf16>(value);
        return;
      default:
        static_cast<float*>(data)[i] = convert<float>(value);
    }
  }
};

inline AnyFloats floats_of(const Tensor& tensor) {
  return tensor.present ? AnyFloats{tensor.data, tensor.dtype} : AnyFloats{};
}

// Calls `visitor(Tag<T>())` with what arithmetic on a floating dtype is done in.
template <class Visitor>
void visit_wide(DType dtype, Visitor&& visitor) {
  if (dtype == DType::kFloat64) return visitor(Tag<double>());
  visitor(Tag<float>());
}

}  // namespace phynexus
