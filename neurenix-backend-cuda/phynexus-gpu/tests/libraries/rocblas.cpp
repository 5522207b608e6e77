// A stand-in for rocBLAS.
#include "libraries/rocblas_api.h"

#include "tests/libraries/stand_in.h"

using namespace phynexus::rocblas;

namespace {

constexpr Status kInvalidSize = static_cast<Status>(4);

struct Handle {
  void* stream = nullptr;
  bool atomics = true;
  void* workspace = nullptr;
  size_t workspace_bytes = 0;
};

stand_in::Element element_of(DataType type) {
  switch (type) {
    case kF32:
      return stand_in::Element::kFloat;
    case kF64:
      return stand_in::Element::kDouble;
    case kF16:
      return stand_in::Element::kHalf;
    default:
      return stand_in::Element::kBfloat16;
  }
}

Status answer(const char* function) { return static_cast<Status>(stand_in::status_of(function)); }

}  // namespace

EXPORTED Status rocblas_get_version_string(char* text, size_t size) {
  std::snprintf(text, size, "2.44.0");
  return kSuccess;
}
EXPORTED const char* rocblas_status_to_string(Status status) {
  return status == 6 ? "rocblas_status_internal_error" : "rocblas_status_other";
}
EXPORTED Status rocblas_create_handle(void** handle) {
  *handle = new Handle;
  return answer("rocblas_create_handle");
}
EXPORTED Status rocblas_set_stream(void* handle, void* stream) {
  static_cast<Handle*>(handle)->stream = stream;
  return kSuccess;
}
EXPORTED Status rocblas_set_atomics_mode(void* handle, Atomics mode) {
  static_cast<Handle*>(handle)->atomics = mode != kAtomicsNotAllowed;
  return kSuccess;
}
EXPORTED Status rocblas_set_workspace(void* handle, void* address, size_t size) {
  static_cast<Handle*>(handle)->workspace = address;
  static_cast<Handle*>(handle)->workspace_bytes = size;
  return kSuccess;
}

EXPORTED Status rocblas_gemm_strided_batched_ex(
    void* handle, Operation a_operation, Operation b_operation, int32_t m, int32_t n, int32_t k,
    const void* alpha, const void* a, DataType a_type, int32_t a_leading, int64_t a_stride,
    const void* b, DataType b_type, int32_t b_leading, int64_t b_stride, const void* beta,
    const void*, DataType c_type, int32_t c_leading, int64_t c_stride, void* d, DataType d_type,
    int32_t d_leading, int64_t d_stride, int32_t batches, DataType compute, Algorithm algorithm,
    int32_t solution, uint32_t flags) {
  if (const Status status = answer("rocblas_gemm_strided_batched_ex")) return status;
  const Handle& its = *static_cast<Handle*>(handle);
  const auto scale = compute == kF64 ? stand_in::Element::kDouble : stand_in::Element::kFloat;
  const bool is_plain = stand_in::get(alpha, scale, 0) == 1 && stand_in::get(beta, scale, 0) == 0 &&
                        algorithm == kStandard && solution == 0 && flags == 0;
  const bool fits = a_leading >= (a_operation == kNone ? m : k) &&
                    b_leading >= (b_operation == kNone ? k : n) && d_leading >= m &&
                    c_leading == d_leading && c_stride == d_stride;
  const bool is_typed = a_type == b_type && a_type == c_type && a_type == d_type &&
                        compute == (a_type == kF64 ? kF64 : kF32);
  if (!is_plain || !fits || !is_typed || its.atomics || its.stream == nullptr) return kInvalidSize;
  stand_in::write_down(
      "rocblas_gemm_strided_batched_ex type=%d compute=%d op=%d%d m=%d n=%d "
      "lda=%d ldb=%d ldd=%d batches=%d strides=%ld,%ld,%ld",
      a_type, compute, a_operation == kTranspose, b_operation == kTranspose, m, n, a_leading,
      b_leading, d_leading, batches, a_stride, b_stride, d_stride);
  const stand_in::Gemm gemm{element_of(a_type),
                            a_operation == kTranspose,
                            b_operation == kTranspose,
                            m,
                            n,
                            k,
                            a,
                            a_leading,
                            a_stride,
                            b,
                            b_leading,
                            b_stride,
                            d,
                            d_leading,
                            d_stride,
                            batches,
                            nullptr};
  void* workspace = its.workspace;
  const size_t workspace_bytes = its.workspace_bytes;
  stand_in::add(its.stream, [=] {
    std::memset(workspace, 0xAB, workspace_bytes);
    gemm.run();
  });
  return kSuccess;
}
