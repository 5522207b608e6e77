// A stand-in for cuBLASLt.
#include "libraries/cublaslt_api.h"

#include "tests/libraries/stand_in.h"

using namespace phynexus::cublaslt;

namespace {

constexpr Status kInvalidValue = static_cast<Status>(7);

struct Desc {
  int32_t transposed[2] = {};
  uint32_t epilogue = kDefault;
  const void* bias = nullptr;
  int32_t bias_type = -1;
  ComputeType compute;
  DataType scale;
};

struct Layout {
  DataType type;
  int64_t rows, columns, leading;
  int32_t batches = 1;
  int64_t stride = 0;
};

struct Preference {
  uint64_t workspace_bytes = 0;
  uint32_t schemes = 7;
  uint32_t aligned[4] = {256, 256, 256, 256};
};

template <class T>
Status write(T& to, const void* value, size_t size) {
  if (size != sizeof(T)) return kInvalidValue;
  std::memcpy(&to, value, size);
  return kSuccess;
}

Status answer(const char* function) { return static_cast<Status>(stand_in::status_of(function)); }

stand_in::Element element_of(DataType type) {
  switch (type) {
    case kR32F:
      return stand_in::Element::kFloat;
    case kR64F:
      return stand_in::Element::kDouble;
    case kR16F:
      return stand_in::Element::kHalf;
    default:
      return stand_in::Element::kBfloat16;
  }
}

// Whether operands and result fit each other, and so do types.
bool is_sound(const Desc& desc, const Layout& a, const Layout& b, const Layout& d) {
  const int64_t m = desc.transposed[0] ? a.columns : a.rows;
  const int64_t k = desc.transposed[0] ? a.rows : a.columns;
  const int64_t depth = desc.transposed[1] ? b.columns : b.rows;
  const int64_t n = desc.transposed[1] ? b.rows : b.columns;
  const bool wide = a.type == kR64F;
  for (const Layout* layout : {&a, &b, &d}) {
    if (layout->leading < layout->rows || layout->type != a.type) return false;
    if (layout->batches != d.batches) return false;
  }
  const bool is_typed =
      desc.scale == (wide ? kR64F : kR32F) && (desc.compute == kCompute64F) == wide;
  const bool is_biased = desc.epilogue == (desc.bias ? kBias : kDefault);
  return m == d.rows && n == d.columns && k == depth && is_typed && is_biased &&
         (desc.bias == nullptr || desc.bias_type == a.type);
}

}  // namespace

EXPORTED size_t cublasLtGetVersion() { return 130002; }
EXPORTED const char* cublasLtGetStatusString(Status status) {
  return status == 13 ? "CUBLAS_STATUS_EXECUTION_FAILED" : "CUBLAS_STATUS_OTHER";
}
EXPORTED Status cublasLtCreate(void** handle) {
  *handle = new int(0);
  return answer("cublasLtCreate");
}
EXPORTED Status cublasLtMatmulDescCreate(void** desc, ComputeType compute, DataType scale) {
  auto* made = new Desc;
  made->compute = compute;
  made->scale = scale;
  *desc = made;
  return kSuccess;
}
EXPORTED Status cublasLtMatmulDescDestroy(void* desc) {
  delete static_cast<Desc*>(desc);
  return kSuccess;
}
EXPORTED Status cublasLtMatmulDescSetAttribute(void* desc, DescAttribute attribute,
                                               const void* value, size_t size) {
  Desc& its = *static_cast<Desc*>(desc);
  switch (attribute) {
    case kTransA:
      return write(its.transposed[0], value, size);
    case kTransB:
      return write(its.transposed[1], value, size);
    case kEpilogue:
      return write(its.epilogue, value, size);
    case kBiasPointer:
      return write(its.bias, value, size);
    case kBiasDataType:
      return write(its.bias_type, value, size);
    default:
      return kInvalidValue;
  }
}
EXPORTED Status cublasLtMatrixLayoutCreate(void** layout, DataType type, uint64_t rows,
                                           uint64_t columns, int64_t leading) {
  *layout = new Layout{type, static_cast<int64_t>(rows), static_cast<int64_t>(columns), leading};
  return kSuccess;
}
EXPORTED Status cublasLtMatrixLayoutDestroy(void* layout) {
  delete static_cast<Layout*>(layout);
  return kSuccess;
}
EXPORTED Status cublasLtMatrixLayoutSetAttribute(void* layout, LayoutAttribute attribute,
                                                 const void* value, size_t size) {
  Layout& its = *static_cast<Layout*>(layout);
  return attribute == kBatchCount ? write(its.batches, value, size)
                                  : write(its.stride, value, size);
}
EXPORTED Status cublasLtMatmulPreferenceCreate(void** preference) {
  *preference = new Preference;
  return kSuccess;
}
EXPORTED Status cublasLtMatmulPreferenceDestroy(void* preference) {
  delete static_cast<Preference*>(preference);
  return kSuccess;
}
EXPORTED Status cublasLtMatmulPreferenceSetAttribute(void* preference,
                                                     PreferenceAttribute attribute,
                                                     const void* value, size_t size) {
  Preference& its = *static_cast<Preference*>(preference);
  switch (attribute) {
    case kMaxWorkspaceBytes:
      return write(its.workspace_bytes, value, size);
    case kReductionSchemeMask:
      return write(its.schemes, value, size);
    default:
      return write(its.aligned[attribute - kMinAlignmentABytes], value, size);
  }
}

// Ranks an algorithm that has no state of success first, and one that writes its workspace after.
EXPORTED Status cublasLtMatmulAlgoGetHeuristic(void*, void* desc, void* a, void* b, void*, void* d,
                                               void* preference, int requested, Heuristic* results,
                                               int* found) {
  if (const Status status = answer("cublasLtMatmulAlgoGetHeuristic")) return status;
  const Preference& its = *static_cast<Preference*>(preference);
  const bool sound = is_sound(*static_cast<Desc*>(desc), *static_cast<Layout*>(a),
                              *static_cast<Layout*>(b), *static_cast<Layout*>(d));
  if (!sound || requested < 2 || its.schemes & ~uint32_t{kReductionComputeType}) {
    return kInvalidValue;
  }
  results[0].state = kNotSupported;
  results[1].state = kSuccess;
  results[1].algorithm.data[0] = 42;
  results[1].workspace_bytes = 4096;
  *found = 2;
  stand_in::write_down("cublasLtMatmulAlgoGetHeuristic aligned=%u,%u,%u", its.aligned[0],
                       its.aligned[1], its.aligned[3]);
  return kSuccess;
}

EXPORTED Status cublasLtMatmul(void*, void* desc, const void* alpha, const void* a, void* a_layout,
                               const void* b, void* b_layout, const void* beta, const void*, void*,
                               void* d, void* d_layout, const Algorithm* algorithm, void* workspace,
                               size_t workspace_bytes, void* stream) {
  if (const Status status = answer("cublasLtMatmul")) return status;
  const Desc& its = *static_cast<Desc*>(desc);
  const Layout& la = *static_cast<Layout*>(a_layout);
  const Layout& lb = *static_cast<Layout*>(b_layout);
  const Layout& ld = *static_cast<Layout*>(d_layout);
  const auto scale = its.scale == kR64F ? stand_in::Element::kDouble : stand_in::Element::kFloat;
  const bool is_plain = stand_in::get(alpha, scale, 0) == 1 && stand_in::get(beta, scale, 0) == 0;
  if (!is_sound(its, la, lb, ld) || !is_plain || algorithm->data[0] != 42 ||
      workspace_bytes != 4096) {
    return kInvalidValue;
  }
  stand_in::write_down(
      "cublasLtMatmul type=%d compute=%d epilogue=%u op=%d%d m=%ld n=%ld lda=%ld "
      "ldb=%ld ldd=%ld batches=%d strides=%ld,%ld,%ld",
      la.type, its.compute, its.epilogue, its.transposed[0], its.transposed[1], ld.rows, ld.columns,
      la.leading, lb.leading, ld.leading, ld.batches, la.stride, lb.stride, ld.stride);
  const stand_in::Gemm gemm{element_of(la.type),
                            its.transposed[0] != 0,
                            its.transposed[1] != 0,
                            ld.rows,
                            ld.columns,
                            its.transposed[0] ? la.rows : la.columns,
                            a,
                            la.leading,
                            la.stride,
                            b,
                            lb.leading,
                            lb.stride,
                            d,
                            ld.leading,
                            ld.stride,
                            ld.batches,
                            its.bias};
  stand_in::add(stream, [=] {
    std::memset(workspace, 0xAB, workspace_bytes);
    gemm.run();
  });
  return kSuccess;
}
