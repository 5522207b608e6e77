#include "libraries/cublaslt.h"

#include <array>
#include <map>
#include <memory>
#include <mutex>

#include "libraries/cublaslt_api.h"
#include "libraries/library.h"

namespace phynexus {

namespace {

using namespace cublaslt;

constexpr size_t kWorkspaceBytes = size_t{32} << 20;  // what NVIDIA advises for Hopper
constexpr int kRequested = 8;
constexpr uint32_t kMostAligned = 256;

// What an algorithm is chosen by.
using Key = std::array<int64_t, 16>;

class Cublaslt {
 public:
  explicit Cublaslt(const std::string& path) : library_(path) {
    library_.find(create, "cublasLtCreate");
    library_.find(get_version, "cublasLtGetVersion");
    library_.find(get_status_string, "cublasLtGetStatusString");
    library_.find(desc_create, "cublasLtMatmulDescCreate");
    library_.find(desc_set, "cublasLtMatmulDescSetAttribute");
    library_.find(desc_destroy, "cublasLtMatmulDescDestroy");
    library_.find(layout_create, "cublasLtMatrixLayoutCreate");
    library_.find(layout_set, "cublasLtMatrixLayoutSetAttribute");
    library_.find(layout_destroy, "cublasLtMatrixLayoutDestroy");
    library_.find(preference_create, "cublasLtMatmulPreferenceCreate");
    library_.find(preference_set, "cublasLtMatmulPreferenceSetAttribute");
    library_.find(preference_destroy, "cublasLtMatmulPreferenceDestroy");
    library_.find(get_heuristic, "cublasLtMatmulAlgoGetHeuristic");
    library_.find(matmul, "cublasLtMatmul");
  }

  void check(Status status, const char* function) const {
    if (status != kSuccess) fail_in_library("cuBLASLt", function, get_status_string(status));
  }

  // The handle of the current device.
  void* handle(int device) {
    void*& made = handles_[device];
    if (made == nullptr) check(create(&made), "cublasLtCreate");
    return made;
  }

  // What was chosen before; an algorithm that the library has not is a state other than success.
  std::map<std::pair<int, Key>, Heuristic> chosen;
  std::mutex mutex;

  Create* create;
  GetVersion* get_version;
  GetStatusString* get_status_string;
  DescCreate* desc_create;
  DescSet* desc_set;
  Destroy* desc_destroy;
  LayoutCreate* layout_create;
  LayoutSet* layout_set;
  Destroy* layout_destroy;
  PreferenceCreate* preference_create;
  PreferenceSet* preference_set;
  Destroy* preference_destroy;
  GetHeuristic* get_heuristic;
  Matmul* matmul;

 private:
  Library library_;
  std::map<int, void*> handles_;
};

std::unique_ptr<Cublaslt>& opened() {
  static auto* library = new std::unique_ptr<Cublaslt>;  // for the life of the process
  return *library;
}

// An object of the library's, destroyed at the end of its scope.
class Object {
 public:
  explicit Object(Destroy* destroy) : destroy_(destroy) {}
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;
  ~Object() {
    if (made != nullptr) destroy_(made);
  }

  void* made = nullptr;

 private:
  Destroy* destroy_;
};

struct Precision {
  DataType data;
  ComputeType compute;
  DataType scale;
};

bool precision_of(DType dtype, Precision& types) {
  switch (dtype) {
    case DType::kFloat32:
      types = {kR32F, is_tf32_allowed() ? kCompute32FFastTf32 : kCompute32F, kR32F};
      return true;
    case DType::kFloat64:
      types = {kR64F, kCompute64F, kR64F};
      return true;
    case DType::kFloat16:
      types = {kR16F, kCompute32F, kR32F};
      return true;
    case DType::kBfloat16:
      types = {kR16BF, kCompute32F, kR32F};
      return true;
    default:
      return false;
  }
}

// The power of two that an address is a multiple of.
uint32_t alignment_of(const void* pointer) {
  const auto address = reinterpret_cast<uintptr_t>(pointer);
  uint32_t aligned = 1;
  while (aligned < kMostAligned && address % (2 * aligned) == 0) aligned *= 2;
  return aligned;
}

// One call: the library's description of a product. Its A is our right matrix and its B our left
// one, since what is row-major for us is, column by column, the transpose: D' = right' left'.
struct Multiplication {
  Multiplication(Cublaslt& library, const Product& product, const Precision& types,
                 const ColumnMajor& first, const ColumnMajor& second)
      : lt(library) {
    lt.check(lt.desc_create(&desc.made, types.compute, types.scale), "cublasLtMatmulDescCreate");
    set(kTransA, first.transposed ? kTranspose : kNone);
    set(kTransB, second.transposed ? kTranspose : kNone);
    if (product.bias != nullptr) {
      set(kEpilogue, kBias);
      set(kBiasPointer, product.bias);
      set(kBiasDataType, static_cast<int32_t>(types.data));
    }
    lay_out(a, types, product.columns, product.depth, first, product, product.right.batch_stride);
    lay_out(b, types, product.depth, product.rows, second, product, product.left.batch_stride);
    const ColumnMajor out{product.out, false, product.columns};
    lay_out(d, types, product.columns, product.rows, out, product, product.rows * product.columns);
  }

  Cublaslt& lt;
  Object desc{lt.desc_destroy};
  Object a{lt.layout_destroy};
  Object b{lt.layout_destroy};
  Object d{lt.layout_destroy};

 private:
  template <class T>
  void set(DescAttribute attribute, T value) {
    lt.check(lt.desc_set(desc.made, attribute, &value, sizeof(value)),
             "cublasLtMatmulDescSetAttribute");
  }

  void lay_out(Object& layout, const Precision& types, int64_t rows, int64_t columns,
               const ColumnMajor& matrix, const Product& product, int64_t batch_stride) {
    if (matrix.transposed) std::swap(rows, columns);  // as it is stored
    lt.check(lt.layout_create(&layout.made, types.data, rows, columns, matrix.leading),
             "cublasLtMatrixLayoutCreate");
    if (product.batches == 1) return;
    const auto batches = static_cast<int32_t>(product.batches);
    lt.check(lt.layout_set(layout.made, kBatchCount, &batches, sizeof(batches)),
             "cublasLtMatrixLayoutSetAttribute");
    lt.check(lt.layout_set(layout.made, kStridedBatchOffset, &batch_stride, sizeof(batch_stride)),
             "cublasLtMatrixLayoutSetAttribute");
  }
};

Heuristic choose(Cublaslt& lt, void* handle, const Multiplication& call,
                 const uint32_t (&aligned)[3]) {
  Object preference(lt.preference_destroy);
  lt.check(lt.preference_create(&preference.made), "cublasLtMatmulPreferenceCreate");
  auto set = [&](PreferenceAttribute attribute, auto value) {
    lt.check(lt.preference_set(preference.made, attribute, &value, sizeof(value)),
             "cublasLtMatmulPreferenceSetAttribute");
  };
  set(kMaxWorkspaceBytes, static_cast<uint64_t>(kWorkspaceBytes));
  set(kReductionSchemeMask, static_cast<uint32_t>(kReductionComputeType));
  set(kMinAlignmentABytes, aligned[0]);
  set(kMinAlignmentBBytes, aligned[1]);
  set(kMinAlignmentCBytes, aligned[2]);
  set(kMinAlignmentDBytes, aligned[2]);
  Heuristic ranked[kRequested] = {};
  int found = 0;
  const Status status =
      lt.get_heuristic(handle, call.desc.made, call.a.made, call.b.made, call.d.made, call.d.made,
                       preference.made, kRequested, ranked, &found);
  if (status != kNotSupported) lt.check(status, "cublasLtMatmulAlgoGetHeuristic");
  for (int i = 0; i < found; ++i) {
    if (ranked[i].state == kSuccess) return ranked[i];
  }
  Heuristic none = {};
  none.state = kNotSupported;
  return none;
}

}  // namespace

std::string open_cublaslt(const std::string& path) {
  auto library = std::make_unique<Cublaslt>(path);
  const size_t version = library->get_version();  // 10000 major + 100 minor + patch
  opened() = std::move(library);
  return std::to_string(version / 10000) + "." + std::to_string(version / 100 % 100) + "." +
         std::to_string(version % 100);
}

bool multiply_by_cublaslt(const Product& product, Device& device) {
  // Biases of float64 are not among those that its documentation lists.
  if (product.bias != nullptr && product.dtype == DType::kFloat64) return false;
  Cublaslt* lt = opened().get();
  Precision types;
  ColumnMajor first;
  ColumnMajor second;
  if (lt == nullptr || !precision_of(product.dtype, types) ||
      !as_transposed_columns(product.right, product.depth, product.columns, first) ||
      !as_transposed_columns(product.left, product.rows, product.depth, second)) {
    return false;
  }
  const uint32_t aligned[3] = {alignment_of(first.data), alignment_of(second.data),
                               alignment_of(product.out)};
  const Key key = {product.batches,
                   product.rows,
                   product.columns,
                   product.depth,
                   first.leading,
                   first.transposed,
                   second.leading,
                   second.transposed,
                   product.right.batch_stride,
                   product.left.batch_stride,
                   types.data,
                   types.compute,
                   aligned[0],
                   aligned[1],
                   aligned[2],
                   product.bias != nullptr ? alignment_of(product.bias) : 0};
  std::lock_guard<std::mutex> lock(lt->mutex);
  void* handle = lt->handle(device.index());
  const Multiplication call(*lt, product, types, first, second);
  const auto known = lt->chosen.try_emplace({device.index(), key});
  Heuristic& choice = known.first->second;
  if (known.second) {
    try {
      choice = choose(*lt, handle, call, aligned);
    } catch (...) {
      lt->chosen.erase(known.first);
      throw;
    }
  }
  if (choice.state != kSuccess) return false;
  const Scratch workspace(device.memory(), choice.workspace_bytes);
  // The scale is of the type that sums are kept in.
  const float one = 1;
  const float zero = 0;
  const double wide_one = 1;
  const double wide_zero = 0;
  const bool is_wide = types.scale == kR64F;
  const void* alpha = is_wide ? static_cast<const void*>(&wide_one) : &one;
  const void* beta = is_wide ? static_cast<const void*>(&wide_zero) : &zero;
  lt->check(
      lt->matmul(handle, call.desc.made, alpha, first.data, call.a.made, second.data, call.b.made,
                 beta, product.out, call.d.made, product.out, call.d.made, &choice.algorithm,
                 workspace.as<void>(), choice.workspace_bytes, gpu_stream_handle(device.stream())),
      "cublasLtMatmul");
  return true;
}

}  // namespace phynexus
