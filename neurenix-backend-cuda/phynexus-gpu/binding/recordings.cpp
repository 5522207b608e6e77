#include <memory>

#include "binding/parts.h"
#include "binding/python_call.h"
#include "runtime/recording.h"

namespace phynexus::binding {

namespace {

// A recording that is left alone in a process that was forked: no driver works there.
class PythonRecording {
 public:
  explicit PythonRecording(int index) : its_(std::make_unique<Recording>(device(index))) {}
  PythonRecording(const PythonRecording&) = delete;
  PythonRecording& operator=(const PythonRecording&) = delete;
  ~PythonRecording() {
    if (is_forked()) its_.release();
  }

  void end() { its_->end(); }
  void abandon() { its_->abandon(); }
  void repeat() {
    device(its_->device().index());  // which says why not, in a fork
    its_->repeat();
  }
  size_t reserved_bytes() const { return its_->reserved_bytes(); }

 private:
  std::unique_ptr<Recording> its_;
};

// Queues a copy of a whole buffer to another of the same size and device.
void copy_buffer(Buffer& to, const Buffer& from) {
  if (&to.device() != &from.device() || to.size_bytes() != from.size_bytes()) {
    throw py::value_error("a buffer is copied to one of the same size on the same device");
  }
  Device& where = device(to.device().index());
  where.use();
  if (to.size_bytes() == 0) return;
  PHYNEXUS_CHECK(gpu_copy_async(to.pointer(), from.pointer(), to.size_bytes(), where.stream()));
}

}  // namespace

void add_recordings(py::module_& module) {
  py::class_<PythonRecording>(module, "Recording", py::module_local())
      .def(py::init<int>())
      .def("end", &PythonRecording::end)
      .def("abandon", &PythonRecording::abandon)
      .def("repeat", &PythonRecording::repeat)
      .def_property_readonly("reserved_bytes", &PythonRecording::reserved_bytes);
  module.def("copy_buffer", &copy_buffer);
}

}  // namespace phynexus::binding
