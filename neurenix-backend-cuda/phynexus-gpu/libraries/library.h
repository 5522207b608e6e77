// Libraries of the vendors, opened while the program runs: none of them is needed to build or to
// load the engine, and where one is absent the engine's own kernels serve.
#pragma once

#include <string>

namespace phynexus {

// A shared library. It stays loaded for the life of the process.
class Library {
 public:
  // Throws std::runtime_error with the loader's words.
  explicit Library(const std::string& path);

  // Sets a pointer to the function of a name.
  //
  // Throws std::runtime_error where there is none.
  template <class Function>
  void find(Function*& function, const char* name) const {
    function = reinterpret_cast<Function*>(address(name));
  }

 private:
  void* address(const char* name) const;

  std::string path_;
  void* handle_;
};

// Opens one of `gpu_libraries` at a path, or by a name that the loader finds, and returns its
// version; from here on its functions are used.
//
// Throws std::runtime_error where that cannot be, and says why.
std::string open_library(const std::string& name, const std::string& path);

// Whether products of float32 may round their operands to TF32: 10 bits of the fraction instead of
// 23. Not so unless it is allowed.
void allow_tf32(bool allowed);
bool is_tf32_allowed();

// What a library's function has answered, other than that all is well.
[[noreturn]] void fail_in_library(const char* library, const char* function,
                                  const std::string& reason);

}  // namespace phynexus
