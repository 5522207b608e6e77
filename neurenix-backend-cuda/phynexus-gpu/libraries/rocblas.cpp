#include "libraries/rocblas.h"

#include <map>
#include <memory>
#include <mutex>

#include "libraries/library.h"
#include "libraries/rocblas_api.h"

namespace phynexus {

namespace {

using namespace rocblas;

constexpr size_t kWorkspaceBytes = size_t{32} << 20;  // what rocBLAS reserves by itself

class Rocblas {
 public:
  explicit Rocblas(const std::string& path) : library_(path) {
    library_.find(create_handle, "rocblas_create_handle");
    library_.find(set_stream, "rocblas_set_stream");
    library_.find(set_atomics, "rocblas_set_atomics_mode");
    library_.find(set_workspace, "rocblas_set_workspace");
    library_.find(get_version, "rocblas_get_version_string");
    library_.find(status_to_string, "rocblas_status_to_string");
    library_.find(gemm, "rocblas_gemm_strided_batched_ex");
  }

  void check(Status status, const char* function) const {
    if (status != kSuccess) fail_in_library("rocBLAS", function, status_to_string(status));
  }

  // The handle of the current device.
  void* handle(int device) {
    void*& made = handles_[device];
    if (made == nullptr) {
      check(create_handle(&made), "rocblas_create_handle");
      check(set_atomics(made, kAtomicsNotAllowed), "rocblas_set_atomics_mode");
    }
    return made;
  }

  std::mutex mutex;

  CreateHandle* create_handle;
  SetStream* set_stream;
  SetAtomics* set_atomics;
  SetWorkspace* set_workspace;
  GetVersion* get_version;
  StatusToString* status_to_string;
  GemmStridedBatched* gemm;

 private:
  Library library_;
  std::map<int, void*> handles_;
};

std::unique_ptr<Rocblas>& opened() {
  static auto* library = new std::unique_ptr<Rocblas>;  // for the life of the process
  return *library;
}

struct Precision {
  DataType data;
  DataType compute;
};

bool precision_of(DType dtype, Precision& types) {
  switch (dtype) {
    case DType::kFloat32:
      types = {kF32, kF32};
      return true;
    case DType::kFloat64:
      types = {kF64, kF64};
      return true;
    case DType::kFloat16:
      types = {kF16, kF32};
      return true;
    case DType::kBfloat16:
      types = {kBf16, kF32};
      return true;
    default:
      return false;
  }
}

Operation operation(const ColumnMajor& matrix) { return matrix.transposed ? kTranspose : kNone; }

}  // namespace

std::string open_rocblas(const std::string& path) {
  auto library = std::make_unique<Rocblas>(path);
  char version[64] = {};
  library->check(library->get_version(version, sizeof(version)), "rocblas_get_version_string");
  opened() = std::move(library);
  return version;
}

bool multiply_by_rocblas(const Product& product, Device& device) {
  Rocblas* library = opened().get();
  Precision types;
  ColumnMajor first;  // as for cuBLASLt: D' = right' left'
  ColumnMajor second;
  if (library == nullptr || product.bias != nullptr || !precision_of(product.dtype, types) ||
      !as_transposed_columns(product.right, product.depth, product.columns, first) ||
      !as_transposed_columns(product.left, product.rows, product.depth, second)) {
    return false;
  }
  const auto rows = static_cast<int32_t>(product.rows);
  const auto columns = static_cast<int32_t>(product.columns);
  const float one = 1;
  const float zero = 0;
  const double wide_one = 1;
  const double wide_zero = 0;
  const bool is_wide = types.compute == kF64;
  std::lock_guard<std::mutex> lock(library->mutex);
  void* handle = library->handle(device.index());
  const Scratch workspace(device.memory(), kWorkspaceBytes);
  library->check(library->set_stream(handle, gpu_stream_handle(device.stream())),
                 "rocblas_set_stream");
  library->check(library->set_workspace(handle, workspace.as<void>(), kWorkspaceBytes),
                 "rocblas_set_workspace");
  const Status status = library->gemm(
      handle, operation(first), operation(second), columns, rows,
      static_cast<int32_t>(product.depth), is_wide ? static_cast<const void*>(&wide_one) : &one,
      first.data, types.data, static_cast<int32_t>(first.leading), product.right.batch_stride,
      second.data, types.data, static_cast<int32_t>(second.leading), product.left.batch_stride,
      is_wide ? static_cast<const void*>(&wide_zero) : &zero, product.out, types.data, columns,
      product.rows * product.columns, product.out, types.data, columns,
      product.rows * product.columns, static_cast<int32_t>(product.batches), types.compute,
      kStandard, 0, 0);
  if (status == kNotImplemented) return false;
  library->check(status, "rocblas_gemm_strided_batched_ex");
  return true;
}

}  // namespace phynexus
