#include "libraries/cudnn.h"

#include <algorithm>
#include <climits>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "libraries/cudnn_api.h"
#include "libraries/library.h"

namespace phynexus {

namespace {

using namespace cudnn;

constexpr int kRequested = 8;
// Algorithms that want more are passed over: what is left for activations would depend on them.
constexpr size_t kMostWorkspaceBytes = size_t{1} << 30;

// What an algorithm is chosen by: the device, the direction, the sizes, and how sums are taken.
using Key = std::vector<int64_t>;

struct Choice {
  bool found = false;
  int algorithm = 0;
  size_t workspace_bytes = 0;
  Math math = kFmaMath;
};

class Cudnn {
 public:
  explicit Cudnn(const std::string& path) : library_(path) {
    library_.find(create, "cudnnCreate");
    library_.find(set_stream, "cudnnSetStream");
    library_.find(get_version, "cudnnGetVersion");
    library_.find(get_error_string, "cudnnGetErrorString");
    library_.find(tensor_create, "cudnnCreateTensorDescriptor");
    library_.find(tensor_set, "cudnnSetTensor4dDescriptor");
    library_.find(tensor_destroy, "cudnnDestroyTensorDescriptor");
    library_.find(filter_create, "cudnnCreateFilterDescriptor");
    library_.find(filter_set, "cudnnSetFilter4dDescriptor");
    library_.find(filter_destroy, "cudnnDestroyFilterDescriptor");
    library_.find(convolution_create, "cudnnCreateConvolutionDescriptor");
    library_.find(convolution_set, "cudnnSetConvolution2dDescriptor");
    library_.find(set_groups, "cudnnSetConvolutionGroupCount");
    library_.find(set_math, "cudnnSetConvolutionMathType");
    library_.find(convolution_destroy, "cudnnDestroyConvolutionDescriptor");
    library_.find(get_algorithm[0], "cudnnGetConvolutionForwardAlgorithm_v7");
    library_.find(get_algorithm[1], "cudnnGetConvolutionBackwardDataAlgorithm_v7");
    library_.find(get_algorithm[2], "cudnnGetConvolutionBackwardFilterAlgorithm_v7");
    library_.find(forward, "cudnnConvolutionForward");
    library_.find(backward_data, "cudnnConvolutionBackwardData");
    library_.find(backward_filter, "cudnnConvolutionBackwardFilter");
  }

  void check(Status status, const char* function) const {
    if (status != kSuccess) fail_in_library("cuDNN", function, get_error_string(status));
  }

  // The handle of the current device.
  void* handle(int device) {
    void*& made = handles_[device];
    if (made == nullptr) check(create(&made), "cudnnCreate");
    return made;
  }

  std::map<Key, Choice> chosen;
  std::mutex mutex;

  Create* create;
  SetStream* set_stream;
  GetVersion* get_version;
  GetErrorString* get_error_string;
  Create* tensor_create;
  SetTensor4d* tensor_set;
  Destroy* tensor_destroy;
  Create* filter_create;
  SetFilter4d* filter_set;
  Destroy* filter_destroy;
  Create* convolution_create;
  SetConvolution2d* convolution_set;
  SetGroups* set_groups;
  SetMath* set_math;
  Destroy* convolution_destroy;
  GetAlgorithm* get_algorithm[3];  // by `Convolved`
  Forward* forward;
  BackwardData* backward_data;
  BackwardFilter* backward_filter;

 private:
  Library library_;
  std::map<int, void*> handles_;
};

std::unique_ptr<Cudnn>& opened() {
  static auto* library = new std::unique_ptr<Cudnn>;  // for the life of the process
  return *library;
}

bool type_of(DType dtype, DataType& type) {
  switch (dtype) {
    case DType::kFloat32:
      type = kFloat;
      return true;
    case DType::kFloat64:
      type = kDouble;
      return true;
    case DType::kFloat16:
      type = kHalf;
      return true;
    case DType::kBfloat16:
      type = kBfloat16;
      return true;
    default:
      return false;
  }
}

// How products of this dtype may be taken. Of float32 exactly, unless TF32 is allowed.
Math math_for(DType dtype) {
  if (dtype == DType::kFloat16 || dtype == DType::kBfloat16) return kTensorOpMath;
  return dtype == DType::kFloat32 && is_tf32_allowed() ? kDefaultMath : kFmaMath;
}

// A descriptor, destroyed at the end of its scope.
class Descriptor {
 public:
  Descriptor(const Cudnn& library, Create* create, Destroy* destroy) : destroy_(destroy) {
    library.check(create(&made), "cudnnCreate...Descriptor");
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { destroy_(made); }

  void* made = nullptr;

 private:
  Destroy* destroy_;
};

struct Descriptors {
  Descriptors(const Cudnn& dnn, const ConvolutionSizes& its, DataType type, Math math)
      : images(dnn, dnn.tensor_create, dnn.tensor_destroy),
        weights(dnn, dnn.filter_create, dnn.filter_destroy),
        results(dnn, dnn.tensor_create, dnn.tensor_destroy),
        convolution(dnn, dnn.convolution_create, dnn.convolution_destroy) {
    auto cut = [](int64_t size) { return static_cast<int>(size); };  // which has been checked
    dnn.check(dnn.tensor_set(images.made, kNchw, type, cut(its.samples), cut(its.channels),
                             cut(its.image[0]), cut(its.image[1])),
              "cudnnSetTensor4dDescriptor");
    dnn.check(
        dnn.filter_set(weights.made, type, kNchw, cut(its.features), cut(its.channels / its.groups),
                       cut(its.kernel[0]), cut(its.kernel[1])),
        "cudnnSetFilter4dDescriptor");
    dnn.check(dnn.tensor_set(results.made, kNchw, type, cut(its.samples), cut(its.features),
                             cut(its.result[0]), cut(its.result[1])),
              "cudnnSetTensor4dDescriptor");
    dnn.check(dnn.convolution_set(convolution.made, cut(its.before[0]), cut(its.before[1]),
                                  cut(its.stride[0]), cut(its.stride[1]), cut(its.dilation[0]),
                                  cut(its.dilation[1]), kCrossCorrelation,
                                  type == kDouble ? kDouble : kFloat),
              "cudnnSetConvolution2dDescriptor");
    dnn.check(dnn.set_groups(convolution.made, cut(its.groups)), "cudnnSetConvolutionGroupCount");
    dnn.check(dnn.set_math(convolution.made, math), "cudnnSetConvolutionMathType");
  }

  Descriptor images;
  Descriptor weights;
  Descriptor results;
  Descriptor convolution;
};

bool is_unsupported(Status status) { return status >= kNotSupported && status < kNotSupportedEnd; }

// The first of the library's ranking that gives the same bits each time.
Choice choose(const Cudnn& dnn, void* handle, Convolved what, const Descriptors& its, Math math) {
  Performance ranked[kRequested] = {};
  int found = 0;
  const int direction = static_cast<int>(what);
  void* operands[3][3] = {
      {its.images.made, its.weights.made, its.results.made},
      {its.weights.made, its.results.made, its.images.made},
      {its.images.made, its.results.made, its.weights.made},
  };
  void** given = operands[direction];
  const Status status = dnn.get_algorithm[direction](
      handle, given[0], given[1], its.convolution.made, given[2], kRequested, &found, ranked);
  if (is_unsupported(status)) return {};
  dnn.check(status, "cudnnGetConvolution...Algorithm_v7");
  for (int i = 0; i < found; ++i) {
    const Performance& way = ranked[i];
    if (way.status != kSuccess || way.determinism != kDeterministic ||
        way.memory_bytes > kMostWorkspaceBytes) {
      continue;
    }
    return {true, way.algorithm, way.memory_bytes, math == kFmaMath ? kFmaMath : way.math};
  }
  return {};
}

// Whether the library, which pads both sides alike and counts in 32 bits, can take these sizes.
bool is_taken(const ConvolutionSizes& its) {
  for (int axis = 0; axis < 2; ++axis) {
    const int64_t reach = its.dilation[axis] * (its.kernel[axis] - 1) + 1;
    const int64_t padded = its.image[axis] + 2 * its.before[axis];
    if (padded < reach || (padded - reach) / its.stride[axis] + 1 != its.result[axis]) return false;
  }
  const int64_t counts[] = {
      its.samples * its.channels * its.image[0] * its.image[1],
      its.samples * its.features * its.result[0] * its.result[1],
      its.features * its.channels / its.groups * its.kernel[0] * its.kernel[1]};
  return std::all_of(std::begin(counts), std::end(counts),
                     [](int64_t count) { return count > 0 && count <= INT_MAX; });
}

}  // namespace

std::string open_cudnn(const std::string& path) {
  auto library = std::make_unique<Cudnn>(path);
  const size_t version = library->get_version();  // 10000 major + 100 minor + patch
  opened() = std::move(library);
  return std::to_string(version / 10000) + "." + std::to_string(version / 100 % 100) + "." +
         std::to_string(version % 100);
}

bool convolve_by_library(Convolved what, const ConvolutionSizes& its, const void* first,
                         const void* second, void* out, Device& device) {
  Cudnn* dnn = opened().get();
  DataType type;
  if (dnn == nullptr || !type_of(its.dtype, type) || !is_taken(its)) return false;
  const Math math = math_for(its.dtype);
  const Key key = {device.index(),  static_cast<int>(what), type,          math,
                   its.samples,     its.channels,           its.features,  its.groups,
                   its.image[0],    its.image[1],           its.kernel[0], its.kernel[1],
                   its.before[0],   its.before[1],          its.stride[0], its.stride[1],
                   its.dilation[0], its.dilation[1]};
  std::lock_guard<std::mutex> lock(dnn->mutex);
  void* handle = dnn->handle(device.index());
  const Descriptors made(*dnn, its, type, math);
  auto known = dnn->chosen.find(key);
  if (known == dnn->chosen.end()) {
    known = dnn->chosen.emplace(key, choose(*dnn, handle, what, made, math)).first;
  }
  const Choice& choice = known->second;
  if (!choice.found) return false;
  dnn->check(dnn->set_math(made.convolution.made, choice.math), "cudnnSetConvolutionMathType");
  dnn->check(dnn->set_stream(handle, gpu_stream_handle(device.stream())), "cudnnSetStream");
  const Scratch workspace(device.memory(), choice.workspace_bytes);
  void* scratch = workspace.as<void>();
  const float one = 1;
  const float zero = 0;
  const double wide_one = 1;
  const double wide_zero = 0;
  const void* alpha = type == kDouble ? static_cast<const void*>(&wide_one) : &one;
  const void* beta = type == kDouble ? static_cast<const void*>(&wide_zero) : &zero;
  void* convolution = made.convolution.made;
  const size_t bytes = choice.workspace_bytes;
  switch (what) {
    case Convolved::kResults:
      dnn->check(
          dnn->forward(handle, alpha, made.images.made, first, made.weights.made, second,
                       convolution, choice.algorithm, scratch, bytes, beta, made.results.made, out),
          "cudnnConvolutionForward");
      break;
    case Convolved::kImages:
      dnn->check(dnn->backward_data(handle, alpha, made.weights.made, second, made.results.made,
                                    first, convolution, choice.algorithm, scratch, bytes, beta,
                                    made.images.made, out),
                 "cudnnConvolutionBackwardData");
      break;
    case Convolved::kWeights:
      dnn->check(dnn->backward_filter(handle, alpha, made.images.made, second, made.results.made,
                                      first, convolution, choice.algorithm, scratch, bytes, beta,
                                      made.weights.made, out),
                 "cudnnConvolutionBackwardFilter");
      break;
  }
  return true;
}

}  // namespace phynexus
