// From the arguments of a kernel in Python to a call.
#pragma once

#include <pybind11/pybind11.h>

#include <functional>
#include <string>
#include <vector>

#include "tensor/tensor.h"

namespace phynexus::binding {

namespace py = pybind11;

// Memory on a device, freed when Python collects it.
class Buffer {
 public:
  Buffer(Device& device, size_t size_bytes)
      : device_(device), size_bytes_(size_bytes), pointer_(device.memory().allocate(size_bytes)) {}
  // Memory of another library's, which `release` gives back.
  Buffer(Device& device, size_t size_bytes, void* pointer, std::function<void()> release)
      : device_(device), size_bytes_(size_bytes), pointer_(pointer), release_(std::move(release)) {}
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer();

  Device& device() const { return device_; }
  void* pointer() const { return pointer_; }
  size_t size_bytes() const { return size_bytes_; }

 private:
  Device& device_;
  size_t size_bytes_;
  void* pointer_;
  std::function<void()> release_;
};

// Tells this module Python's dtypes, in the order of the enumeration.
void set_dtypes(py::sequence dtypes);
DType to_dtype(py::handle dtype);

// A `neurenix.Tensor`, or None.
Tensor to_tensor(py::handle tensor);
Buffer& buffer_of(py::handle tensor);

std::vector<int64_t> to_integers(py::handle sequence);

// Attributes of an op, which stay in Python.
class PythonAttributes : public Attributes {
 public:
  explicit PythonAttributes(py::dict attributes) : attributes_(std::move(attributes)) {}

  Scalar scalar(const char* name) const override;
  int64_t integer(const char* name) const override;
  double real(const char* name) const override;
  bool flag(const char* name) const override;
  std::string text(const char* name) const override;
  std::vector<int64_t> integers(const char* name) const override;

 private:
  py::object get(const char* name) const;

  py::dict attributes_;
};

// The device of that index, opened at its first use.
//
// Throws std::runtime_error where the process was forked after a device was opened.
Device& device(int index);

// Whether this is the child of a process that had opened a device: no driver works there.
bool is_forked();

}  // namespace phynexus::binding
