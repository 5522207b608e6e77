#include "libraries/library.h"

#include <pybind11/stl.h>

#include "binding/parts.h"
#include "vendor/gpu.h"

namespace phynexus::binding {

namespace py = pybind11;

void add_libraries(py::module_& module) {
  py::list names;
  for (const char* name : gpu_libraries) names.append(name);
  module.attr("LIBRARIES") = names;
  module.attr("RUNTIME_MAJOR") = gpu_runtime_major;
  module.def("open_library", &open_library);
  module.def("allow_tf32", &allow_tf32);
  module.def("is_tf32_allowed", &is_tf32_allowed);
}

}  // namespace phynexus::binding
