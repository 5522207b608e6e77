// A tensor as a kernel's host code sees it, and what is asked of a kernel.
#pragma once

#include <string>
#include <vector>

#include "runtime/device.h"
#include "tensor/dtype.h"

namespace phynexus {

constexpr int kMostAxes = 16;

// Memory of a device with a shape; strides count elements, and are never negative.
struct Tensor {
  void* data = nullptr;  // the first element
  bool present = false;  // false where the op leaves the input out
  DType dtype = DType::kFloat32;
  int rank = 0;
  int64_t shape[kMostAxes] = {};
  int64_t strides[kMostAxes] = {};

  int64_t size() const {
    int64_t count = 1;
    for (int i = 0; i < rank; ++i) count *= shape[i];
    return count;
  }
  // The product of the sizes of some axes.
  int64_t size(int begin, int end) const {
    int64_t count = 1;
    for (int i = begin; i < end; ++i) count *= shape[i];
    return count;
  }
  bool is_dense() const {
    int64_t step = 1;
    for (int i = rank - 1; i >= 0; --i) {
      if (shape[i] != 1 && strides[i] != step) return false;
      step *= shape[i];
    }
    return true;
  }
  template <class T>
  T* as() const {
    return static_cast<T*>(data);
  }
};

// A Python number.
struct Scalar {
  bool is_integer;
  int64_t integer;
  double real;

  template <class T>
  T as() const {
    return is_integer ? convert<T>(integer) : convert<T>(real);
  }
};

// The attributes of a call, by their names.
class Attributes {
 public:
  virtual ~Attributes() = default;
  virtual Scalar scalar(const char* name) const = 0;
  virtual int64_t integer(const char* name) const = 0;
  virtual double real(const char* name) const = 0;
  virtual bool flag(const char* name) const = 0;
  virtual std::string text(const char* name) const = 0;
  // Numbers of a sequence; those of nested ones one after the other.
  virtual std::vector<int64_t> integers(const char* name) const = 0;
};

// One call of a kernel.
struct Call {
  const std::vector<Tensor>& outputs;
  const std::vector<Tensor>& inputs;
  const Attributes& attributes;
  Device& device;
  int op;  // its place in the table

  const Tensor& out(size_t i = 0) const { return outputs[i]; }
  const Tensor& in(size_t i) const { return inputs[i]; }
  gpu_stream stream() const { return device.stream(); }
};

// One op that there is a kernel for.
struct Op {
  const char* name;
  void (*run)(const Call&);
  DTypeSet dtypes;        // of its inputs, and of its attribute dtype
  bool strided = false;   // it reads inputs of any strides
  bool in_place = false;  // its output may be the memory of an input, laid out alike
  // Several calls of the same attributes and dtypes, none of which reads what another writes, in
  // as few launches as may be; null where that is no different from one after the other.
  void (*run_many)(const std::vector<Call>&) = nullptr;
};

}  // namespace phynexus
