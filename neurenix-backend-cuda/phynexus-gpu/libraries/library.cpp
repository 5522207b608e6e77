#include "libraries/library.h"

#include <dlfcn.h>

#include <stdexcept>

#include "libraries/cublaslt.h"
#include "libraries/cudnn.h"
#include "libraries/rocblas.h"

namespace phynexus {

namespace {

bool tf32 = false;

struct Known {
  const char* name;
  std::string (*open)(const std::string& path);
};

constexpr Known kKnown[] = {
    {"cublaslt", open_cublaslt},
    {"cudnn", open_cudnn},
    {"rocblas", open_rocblas},
};

}  // namespace

Library::Library(const std::string& path)
    : path_(path), handle_(dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL)) {
  if (handle_ == nullptr) throw std::runtime_error(dlerror());
}

void* Library::address(const char* name) const {
  void* found = dlsym(handle_, name);
  if (found == nullptr) throw std::runtime_error(path_ + " has no function " + name);
  return found;
}

std::string open_library(const std::string& name, const std::string& path) {
  for (const Known& library : kKnown) {
    if (library.name == name) return library.open(path);
  }
  throw std::invalid_argument("the engine uses no library " + name);
}

void allow_tf32(bool allowed) { tf32 = allowed; }
bool is_tf32_allowed() { return tf32; }

void fail_in_library(const char* library, const char* function, const std::string& reason) {
  throw std::runtime_error(std::string(library) + " failed in " + function + ": " + reason);
}

}  // namespace phynexus
