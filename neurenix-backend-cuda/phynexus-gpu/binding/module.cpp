// The native module of a GPU's package.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>

#include "binding/parts.h"
#include "binding/python_call.h"
#include "kernels/table.h"

namespace phynexus::binding {

namespace {

// An index out of range, which a kernel has met.
void raise_fault(Fault fault) {
  if (fault == 0) return;
  const Op& op = ops().at(static_cast<size_t>(fault >> 48) - 1);
  const int64_t index = static_cast<int64_t>(fault << 16) >> 16;  // the sign of 48 bits
  throw py::index_error(std::string(op.name) + " got the index " + std::to_string(index) +
                        ", which is out of range");
}

// The tensors of a call, and the device that they are on.
struct Arguments {
  Arguments(py::handle out, const py::sequence& inputs) {
    const bool several = PyTuple_Check(out.ptr());
    if (several) {
      for (py::handle item : py::reinterpret_borrow<py::tuple>(out)) {
        outputs.push_back(to_tensor(item));
      }
    } else {
      outputs.push_back(to_tensor(out));
    }
    for (py::handle item : inputs) given.push_back(to_tensor(item));
    where = &buffer_of(several ? out[py::int_(0)] : out).device();
  }

  std::vector<Tensor> outputs;
  std::vector<Tensor> given;
  Device* where;
};

// Calls a kernel; what goes wrong names the op.
template <class Run>
void run_named(const Op& op, Device& where, const Run& run) {
  if (is_forked()) device(where.index());  // which says why not
  where.use();
  try {
    run();
    check(gpu_last_error(), "launch(");
  } catch (const OutOfMemory& error) {
    throw OutOfMemory(std::string(op.name) + ": " + error.what());
  } catch (const std::runtime_error& error) {
    throw std::runtime_error(std::string(op.name) + ": " + error.what());
  }
}

int number_of(const Op& op) { return static_cast<int>(&op - ops().data()); }

void run(const Op& op, py::handle out, const py::args& inputs, const py::kwargs& attributes) {
  const Arguments its(out, inputs);
  const PythonAttributes given(attributes);
  run_named(op, *its.where,
            [&] { op.run({its.outputs, its.given, given, *its.where, number_of(op)}); });
}

// Calls (out, inputs) of one op, with the same attributes and dtypes; none reads what another
// writes.
void run_many(const std::string& name, const py::sequence& calls, const py::dict& attributes) {
  const auto op =
      std::find_if(ops().begin(), ops().end(), [&](const Op& its) { return its.name == name; });
  if (op == ops().end() || op->run_many == nullptr) {
    throw py::value_error("no op that is run for many at a time: " + name);
  }
  std::vector<Arguments> arguments;
  for (py::handle call : calls) {
    arguments.emplace_back(call[py::int_(0)],
                           py::reinterpret_borrow<py::sequence>(py::object(call[py::int_(1)])));
  }
  if (arguments.empty()) return;
  const PythonAttributes given(attributes);
  Device& where = *arguments.front().where;
  std::vector<Call> made;
  for (const Arguments& its : arguments) {
    made.push_back({its.outputs, its.given, given, where, number_of(*op)});
  }
  run_named(*op, where, [&] { op->run_many(made); });
}

// The ops that `run_many` takes.
py::list many() {
  py::list names;
  for (const Op& op : ops()) {
    if (op.run_many != nullptr) names.append(op.name);
  }
  return names;
}

py::list kernels() {
  py::list table;
  for (const Op& op : ops()) {
    py::list dtypes;
    for (int i = 0; i < kDTypes; ++i) {
      if (op.dtypes >> i & 1u) dtypes.append(kDTypeNames[i]);
    }
    auto function = [&op](py::object out, py::args inputs, py::kwargs attributes) {
      run(op, out, inputs, attributes);
    };
    table.append(py::make_tuple(op.name, py::cpp_function(function, py::name(op.name)), dtypes,
                                op.strided, op.in_place));
  }
  return table;
}

std::unique_ptr<Buffer> allocate(int index, const py::tuple& shape, py::handle dtype) {
  size_t count = 1;
  for (py::handle size : shape) {
    if (__builtin_mul_overflow(count, size.cast<size_t>(), &count)) count = SIZE_MAX;
  }
  if (__builtin_mul_overflow(count, static_cast<size_t>(size_of(to_dtype(dtype))), &count)) {
    count = SIZE_MAX;
  }
  Device& where = device(index);
  where.use();
  return std::make_unique<Buffer>(where, count);
}

void upload(Buffer& buffer, uintptr_t address, size_t size) {
  py::gil_scoped_release released;
  device(buffer.device().index()).upload(buffer.pointer(), reinterpret_cast<void*>(address), size);
}

// Waits, and raises what kernels have reported: a caller must not see values made from nonsense.
void synchronize(int index) {
  Fault fault = 0;
  {
    py::gil_scoped_release released;
    fault = device(index).synchronize();
  }
  raise_fault(fault);
}

// What has strides is made dense on the device first.
void download(py::handle tensor, uintptr_t address, size_t size) {
  const Tensor source = to_tensor(tensor);
  Device& where = device(buffer_of(tensor).device().index());
  Fault fault = 0;
  {
    py::gil_scoped_release released;
    where.use();
    std::unique_ptr<Scratch> scratch;
    const void* from = source.data;
    if (!source.is_dense()) {
      scratch = std::make_unique<Scratch>(where.memory(), size);
      copy_to_dense(source, scratch->as<void>(), where);
      from = scratch->as<void>();
    }
    where.download(reinterpret_cast<void*>(address), from, size);
    fault = where.synchronize();
  }
  raise_fault(fault);
}

py::tuple memory_statistics(int index) {
  const MemoryStatistics found = device(index).memory().statistics();
  return py::make_tuple(found.in_use_bytes, found.cached_bytes, found.peak_bytes);
}

}  // namespace

PYBIND11_MODULE(_native, module) {
  py::register_exception_translator([](std::exception_ptr pointer) {
    try {
      if (pointer) std::rethrow_exception(pointer);
    } catch (const OutOfMemory& error) {
      PyErr_SetString(PyExc_MemoryError, error.what());
    }
  });
  // Of this module alone: a process may have the engines of both vendors.
  py::class_<Buffer>(module, "Buffer", py::module_local())
      .def_property_readonly(
          "address",
          [](const Buffer& buffer) { return reinterpret_cast<uintptr_t>(buffer.pointer()); })
      .def_property_readonly("nbytes", &Buffer::size_bytes)
      .def_property_readonly("index", [](const Buffer& buffer) { return buffer.device().index(); });
  py::list dtypes;
  for (const char* name : kDTypeNames) dtypes.append(name);
  module.attr("DTYPES") = dtypes;
  module.attr("KERNELS") = kernels();
  module.attr("MANY") = many();
  module.def("run_many", &run_many);
  module.def("set_dtypes", &set_dtypes);
  module.def("device_count", &count_devices);
  module.def("describe", [](int index) {
    const Description found = describe(index);
    return py::make_tuple(found.name, found.memory_bytes);
  });
  module.def("allocate", &allocate);
  module.def("upload", &upload);
  module.def("download", &download);
  module.def("synchronize", &synchronize);
  module.def("memory_statistics", &memory_statistics);
  module.def("trim_memory", [](int index) { device(index).memory().trim(); });
  add_libraries(module);
  add_recordings(module);
  add_dlpack(module);
}

}  // namespace phynexus::binding
