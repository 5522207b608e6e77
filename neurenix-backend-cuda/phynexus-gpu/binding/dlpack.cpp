#include "binding/dlpack_api.h"
#include "binding/parts.h"
#include "binding/python_call.h"

namespace phynexus::binding {

namespace {

// By the order of `DType`.
constexpr dlpack::DataType kTypes[kDTypes] = {
    {dlpack::kFloat, 32, 1},  {dlpack::kFloat, 64, 1}, {dlpack::kFloat, 16, 1},
    {dlpack::kBfloat, 16, 1}, {dlpack::kInt, 64, 1},   {dlpack::kInt, 32, 1},
    {dlpack::kInt, 16, 1},    {dlpack::kInt, 8, 1},    {dlpack::kUInt, 8, 1},
    {dlpack::kBool, 8, 1},
};

constexpr auto kHere = static_cast<dlpack::DeviceType>(gpu_dlpack_device);

// What is lent: it keeps Python's buffer alive.
template <class Managed>
struct Lent {
  Managed managed{};
  py::object buffer;
  std::vector<int64_t> shape;
  std::vector<int64_t> strides;
};

// The borrower may have queued work on queues that are not known here: memory is only given away
// again when all of it has been done.
template <class Managed>
void give_back(Managed* managed) {
  py::gil_scoped_acquire held;
  auto* lent = static_cast<Lent<Managed>*>(managed->context);
  if (!is_forked()) {
    ignore(gpu_set_device(lent->buffer.template cast<Buffer&>().device().index()));
    ignore(gpu_device_synchronize());
  }
  delete lent;
}

template <class Managed>
void give_back_untaken(PyObject* capsule) {
  if (!PyCapsule_IsValid(capsule, Managed::kName)) return;  // it was taken
  give_back(static_cast<Managed*>(PyCapsule_GetPointer(capsule, Managed::kName)));
}

template <class Managed>
py::capsule lend(py::handle tensor, const Tensor& its, int index) {
  auto lent = std::make_unique<Lent<Managed>>();
  lent->buffer = py::reinterpret_borrow<py::object>(tensor).attr("buffer");
  lent->shape.assign(its.shape, its.shape + its.rank);
  lent->strides.assign(its.strides, its.strides + its.rank);
  lent->managed.tensor = {its.data,
                          {kHere, kHere == dlpack::kCpu ? 0 : index},
                          its.rank,
                          kTypes[static_cast<int>(its.dtype)],
                          lent->shape.data(),
                          lent->strides.data(),
                          0};
  lent->managed.context = lent.get();
  lent->managed.deleter = give_back<Managed>;
  if constexpr (std::is_same_v<Managed, dlpack::ManagedTensorVersioned>) lent->managed.major = 1;
  py::capsule capsule(&lent->managed, Managed::kName, give_back_untaken<Managed>);
  lent.release();
  return capsule;
}

// A capsule over the very memory of a tensor, whose values are there.
py::capsule to_dlpack(py::handle tensor, bool is_versioned) {
  const Tensor its = to_tensor(tensor);
  Device& where = device(buffer_of(tensor).device().index());
  {
    py::gil_scoped_release released;
    where.synchronize();
  }
  return is_versioned ? lend<dlpack::ManagedTensorVersioned>(tensor, its, where.index())
                      : lend<dlpack::ManagedTensor>(tensor, its, where.index());
}

[[noreturn]] void refuse(const std::string& why) {
  PyErr_SetString(PyExc_BufferError, why.c_str());
  throw py::error_already_set();
}

int dtype_of(const dlpack::DataType& type) {
  for (int i = 0; i < kDTypes; ++i) {
    const dlpack::DataType& known = kTypes[i];
    if (known.code == type.code && known.bits == type.bits && type.lanes == 1) return i;
  }
  refuse("DLPack's type code " + std::to_string(type.code) + " of " + std::to_string(type.bits) +
         " bits is no dtype of Neurenix");
}

// A buffer over the memory of a capsule, and the tensor in it: the number of its dtype, its shape
// and its strides.
template <class Managed>
py::tuple borrow(const py::capsule& capsule, int index) {
  auto* managed = capsule.get_pointer<Managed>();
  const dlpack::Tensor& its = managed->tensor;
  if (its.device.type != kHere || (kHere != dlpack::kCpu && its.device.index != index)) {
    refuse("the memory is of DLPack's device " + std::to_string(its.device.type) + ":" +
           std::to_string(its.device.index) + ", not of " + std::to_string(kHere) + ":" +
           std::to_string(index));
  }
  const int dtype = dtype_of(its.dtype);
  py::tuple shape(its.rank);
  py::tuple strides(its.rank);
  int64_t last = 0;  // the element that is furthest from the first
  int64_t count = 1;
  for (int i = its.rank - 1; i >= 0; --i) {
    const int64_t stride = its.strides == nullptr ? count : its.strides[i];
    if (stride < 0) refuse("strides below zero are not taken");
    count *= its.shape[i];
    last += (its.shape[i] - 1) * stride;
    shape[i] = its.shape[i];
    strides[i] = stride;
  }
  const size_t size_bytes = count == 0 ? 0 : (last + 1) * kDTypeBytes[dtype];
  auto buffer = std::make_unique<Buffer>(
      device(index), size_bytes, static_cast<char*>(its.data) + its.offset_bytes, [managed] {
        if (managed->deleter != nullptr) {
          managed->deleter(managed);
        }
      });
  PyCapsule_SetName(capsule.ptr(), Managed::kTaken);
  return py::make_tuple(std::move(buffer), dtype, shape, strides);
}

py::tuple from_dlpack(const py::capsule& capsule, int index) {
  const std::string name = capsule.name();
  if (name == dlpack::ManagedTensor::kName) return borrow<dlpack::ManagedTensor>(capsule, index);
  if (name != dlpack::ManagedTensorVersioned::kName) {
    refuse("from_dlpack takes a capsule that nobody has taken yet, not " + name);
  }
  const auto* managed = capsule.get_pointer<dlpack::ManagedTensorVersioned>();
  if (managed->major != 1) {
    refuse("DLPack " + std::to_string(managed->major) + " is not known here; 1 is");
  }
  if (managed->flags & dlpack::ManagedTensorVersioned::kReadOnly) {
    refuse("memory that may only be read is not taken; copy it first");
  }
  return borrow<dlpack::ManagedTensorVersioned>(capsule, index);
}

}  // namespace

void add_dlpack(py::module_& module) {
  module.attr("DLPACK_DEVICE") = static_cast<int>(kHere);
  module.def("to_dlpack", &to_dlpack);
  module.def("from_dlpack", &from_dlpack);
  // The queue's number, by which other libraries order their work before that of this one.
  module.def("stream", [](int index) {
    return reinterpret_cast<uintptr_t>(gpu_stream_handle(device(index).stream()));
  });
}

}  // namespace phynexus::binding
