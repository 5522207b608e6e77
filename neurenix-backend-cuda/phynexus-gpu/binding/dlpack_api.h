// The structures of DLPack that are passed in capsules, as dlpack.h of DLPack 1.0 declares them
// (https://dmlc.github.io/dlpack/latest/c_api.html).
#pragma once

#include <cstdint>

namespace phynexus::dlpack {

enum DeviceType : int32_t { kCpu = 1, kCuda = 2, kRocm = 10 };
enum TypeCode : uint8_t { kInt = 0, kUInt = 1, kFloat = 2, kBfloat = 4, kBool = 6 };

struct Device {
  DeviceType type;
  int32_t index;
};

struct DataType {
  uint8_t code;
  uint8_t bits;
  uint16_t lanes;
};

struct Tensor {
  void* data;
  Device device;
  int32_t rank;
  DataType dtype;
  int64_t* shape;
  int64_t* strides;  // in elements; null: dense, row-major
  uint64_t offset_bytes;
};

// In capsules "dltensor", before version 1.
struct ManagedTensor {
  static constexpr char kName[] = "dltensor";
  static constexpr char kTaken[] = "used_dltensor";  // its memory belongs to who has taken it

  Tensor tensor;
  void* context;
  void (*deleter)(ManagedTensor* self);
};

// In capsules "dltensor_versioned".
struct ManagedTensorVersioned {
  static constexpr char kName[] = "dltensor_versioned";
  static constexpr char kTaken[] = "used_dltensor_versioned";
  static constexpr uint64_t kReadOnly = 1;

  uint32_t major;
  uint32_t minor;
  void* context;
  void (*deleter)(ManagedTensorVersioned* self);
  uint64_t flags;
  Tensor tensor;
};

}  // namespace phynexus::dlpack
