// Elements whose dtype is known at run time only, read in two steps: so that the loads of several
// are under way before the first is converted.
#pragma once

#include "tensor/tensor.h"

namespace phynexus {

struct AnyNumbers {
  const void* data;
  DType dtype;

  // The bits of an element, below zeros.
  GPU_DEVICE uint64_t bits(int64_t i) const {
    switch (dtype) {
      case DType::kBool:
      case DType::kInt8:
      case DType::kUint8:
        return static_cast<const uint8_t*>(data)[i];
      case DType::kFloat16:
      case DType::kBfloat16:
      case DType::kInt16:
        return static_cast<const uint16_t*>(data)[i];
      case DType::kFloat32:
      case DType::kInt32:
        return static_cast<const uint32_t*>(data)[i];
      default:
        return static_cast<const uint64_t*>(data)[i];
    }
  }

  // The number that those bits are, as `convert` makes a To of it.
  template <class To>
  GPU_DEVICE To value(uint64_t bits) const {
    switch (dtype) {
      case DType::kFloat32:
        return converted<To, float>(bits);
      case DType::kFloat64:
        return converted<To, double>(bits);
      case DType::kFloat16:
        return converted<To, gpu_f16>(bits);
      case DType::kBfloat16:
        return converted<To, gpu_bf16>(bits);
      case DType::kInt64:
        return converted<To, int64_t>(bits);
      case DType::kInt32:
        return converted<To, int32_t>(bits);
      case DType::kInt16:
        return converted<To, int16_t>(bits);
      case DType::kInt8:
        return converted<To, int8_t>(bits);
      case DType::kUint8:
        return converted<To, uint8_t>(bits);
      default:
        return converted<To, bool>(bits);
    }
  }

 private:
  template <class To, class From>
  GPU_DEVICE static To converted(uint64_t bits) {
    From value;
    memcpy(&value, &bits, sizeof(From));  // all of these machines have the low byte first
    return convert<To>(value);
  }
};

}  // namespace phynexus
