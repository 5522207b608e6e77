// What the module has besides the kernels and the memory, each in a file of its own.
#pragma once

#include <pybind11/pybind11.h>

namespace phynexus::binding {

// Adds what opens libraries and says how they are used.
void add_libraries(pybind11::module_& module);

// Adds the class Recording, and copies between buffers.
void add_recordings(pybind11::module_& module);

// Adds what lends memory to other libraries of Python, and borrows it, by DLPack.
void add_dlpack(pybind11::module_& module);

}  // namespace phynexus::binding
