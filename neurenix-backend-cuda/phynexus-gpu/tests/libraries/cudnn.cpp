// A stand-in for cuDNN.
#include "libraries/cudnn_api.h"

#include <type_traits>

#include "tests/libraries/stand_in.h"

using namespace phynexus::cudnn;

namespace {

constexpr Status kBadParam = static_cast<Status>(2000);
constexpr int kAlgorithm = 7;  // the deterministic one
constexpr size_t kWorkspaceBytes = 1024;

struct Sizes {
  DataType type = kFloat;
  int of[4] = {};
  int64_t place(int a, int b, int c, int d) const {
    return ((int64_t{a} * of[1] + b) * of[2] + c) * of[3] + d;
  }
};

struct Convolution {
  int pad[2], stride[2], dilation[2];
  int groups = 1;
  DataType compute;
  Math math = kDefaultMath;
};

struct Handle {
  void* stream = nullptr;
};

Status answer(const char* function) { return static_cast<Status>(stand_in::status_of(function)); }

stand_in::Element element_of(DataType type) {
  switch (type) {
    case kFloat:
      return stand_in::Element::kFloat;
    case kDouble:
      return stand_in::Element::kDouble;
    case kHalf:
      return stand_in::Element::kHalf;
    default:
      return stand_in::Element::kBfloat16;
  }
}

bool is_sound(const Sizes& x, const Sizes& w, const Sizes& y, const Convolution& its) {
  for (int i = 0; i < 2; ++i) {
    const int reach = its.dilation[i] * (w.of[2 + i] - 1) + 1;
    if ((x.of[2 + i] + 2 * its.pad[i] - reach) / its.stride[i] + 1 != y.of[2 + i]) return false;
  }
  return x.type == w.type && x.type == y.type && x.of[0] == y.of[0] && y.of[1] == w.of[0] &&
         x.of[1] == w.of[1] * its.groups && its.compute == (x.type == kDouble ? kDouble : kFloat);
}

// Calls `add(x, w, y)` with the places of all products that a convolution is a sum of.
template <class Add>
void for_each(const Sizes& x, const Sizes& w, const Sizes& y, const Convolution& its, Add add) {
  const int features = y.of[1] / its.groups;
  for (int n = 0; n < y.of[0]; ++n)
    for (int o = 0; o < y.of[1]; ++o)
      for (int c = 0; c < w.of[1]; ++c)
        for (int i = 0; i < y.of[2]; ++i)
          for (int j = 0; j < y.of[3]; ++j)
            for (int p = 0; p < w.of[2]; ++p)
              for (int q = 0; q < w.of[3]; ++q) {
                const int row = i * its.stride[0] - its.pad[0] + p * its.dilation[0];
                const int column = j * its.stride[1] - its.pad[1] + q * its.dilation[1];
                if (row < 0 || row >= x.of[2] || column < 0 || column >= x.of[3]) continue;
                const int channel = o / features * w.of[1] + c;
                add(x.place(n, channel, row, column), w.place(o, c, p, q), y.place(n, o, i, j));
              }
}

int64_t count(const Sizes& sizes) { return sizes.place(sizes.of[0], 0, 0, 0); }

// Computes one of the three tensors of the others, in the queue's turn. `which` is 0 for x, 1 for
// w and 2 for y, in which order the tensors come.
Status convolve(const char* function, void* handle, int which, const Sizes* const (&sizes)[3],
                const void* (&data)[3], void* out, void* convolution, int algorithm,
                void* workspace, size_t workspace_bytes, const void* alpha, const void* beta) {
  if (const Status status = answer(function)) return status;
  const Convolution its = *static_cast<Convolution*>(convolution);
  const Sizes x = *sizes[0], w = *sizes[1], y = *sizes[2];
  const auto scale = x.type == kDouble ? stand_in::Element::kDouble : stand_in::Element::kFloat;
  const bool is_plain = stand_in::get(alpha, scale, 0) == 1 && stand_in::get(beta, scale, 0) == 0;
  if (!is_sound(x, w, y, its) || !is_plain || algorithm != kAlgorithm ||
      workspace_bytes != kWorkspaceBytes) {
    return kBadParam;
  }
  stand_in::write_down("%s type=%d math=%d groups=%d x=%d,%d,%d,%d w=%d,%d,%d,%d", function, x.type,
                       its.math, its.groups, x.of[0], x.of[1], x.of[2], x.of[3], w.of[0], w.of[1],
                       w.of[2], w.of[3]);
  const void* given[3] = {data[0], data[1], data[2]};
  stand_in::add(static_cast<Handle*>(handle)->stream, [=] {
    std::memset(workspace, 0xAB, workspace_bytes);
    const stand_in::Element element = element_of(x.type);
    const int64_t size = count(which == 0 ? x : which == 1 ? w : y);
    auto* sums = new double[size]();
    for_each(x, w, y, its, [&](int64_t in_x, int64_t in_w, int64_t in_y) {
      const int64_t places[3] = {in_x, in_w, in_y};
      const int a = which == 0 ? 1 : 0;
      const int b = which == 2 ? 1 : 2;
      sums[places[which]] +=
          stand_in::get(given[a], element, places[a]) * stand_in::get(given[b], element, places[b]);
    });
    for (int64_t i = 0; i < size; ++i) stand_in::put(out, element, i, sums[i]);
    delete[] sums;
  });
  return kSuccess;
}

// Ranks an algorithm first whose sums depend on the order in which threads come.
Status rank(const char* function, const Sizes& x, const Sizes& w, const Sizes& y,
            const Convolution& its, int requested, int* found, Performance* ranked) {
  if (const Status status = answer(function)) return status;
  if (!is_sound(x, w, y, its) || requested < 2) return kBadParam;
  ranked[0] = {};
  ranked[1] = {};
  ranked[1].algorithm = kAlgorithm;
  ranked[1].determinism = kDeterministic;
  ranked[1].memory_bytes = kWorkspaceBytes;
  ranked[1].math = its.math;
  *found = 2;
  return kSuccess;
}

template <class T>
Status make(void** object) {
  *object = new T();
  return kSuccess;
}
template <class T>
Status destroy(void* object) {
  delete static_cast<T*>(object);
  return kSuccess;
}

const Sizes& sizes(void* desc) { return *static_cast<Sizes*>(desc); }
const Convolution& convolution_of(void* desc) { return *static_cast<Convolution*>(desc); }

}  // namespace

EXPORTED size_t cudnnGetVersion() { return 91301; }
EXPORTED const char* cudnnGetErrorString(Status status) {
  return status == 5000 ? "CUDNN_STATUS_EXECUTION_FAILED" : "CUDNN_STATUS_OTHER";
}
EXPORTED Status cudnnCreate(void** handle) {
  make<Handle>(handle);
  return answer("cudnnCreate");
}
EXPORTED Status cudnnSetStream(void* handle, void* stream) {
  static_cast<Handle*>(handle)->stream = stream;
  return kSuccess;
}
EXPORTED Status cudnnCreateTensorDescriptor(void** desc) { return make<Sizes>(desc); }
EXPORTED Status cudnnDestroyTensorDescriptor(void* desc) { return destroy<Sizes>(desc); }
EXPORTED Status cudnnSetTensor4dDescriptor(void* desc, Format format, DataType type, int n, int c,
                                           int h, int w) {
  *static_cast<Sizes*>(desc) = {type, {n, c, h, w}};
  return format == kNchw ? kSuccess : kBadParam;
}
EXPORTED Status cudnnCreateFilterDescriptor(void** desc) { return make<Sizes>(desc); }
EXPORTED Status cudnnDestroyFilterDescriptor(void* desc) { return destroy<Sizes>(desc); }
EXPORTED Status cudnnSetFilter4dDescriptor(void* desc, DataType type, Format format, int k, int c,
                                           int h, int w) {
  *static_cast<Sizes*>(desc) = {type, {k, c, h, w}};
  return format == kNchw ? kSuccess : kBadParam;
}
EXPORTED Status cudnnCreateConvolutionDescriptor(void** desc) { return make<Convolution>(desc); }
EXPORTED Status cudnnDestroyConvolutionDescriptor(void* desc) { return destroy<Convolution>(desc); }
EXPORTED Status cudnnSetConvolution2dDescriptor(void* desc, int pad_h, int pad_w, int stride_h,
                                                int stride_w, int dilation_h, int dilation_w,
                                                Mode mode, DataType compute) {
  auto& its = *static_cast<Convolution*>(desc);
  its = {{pad_h, pad_w}, {stride_h, stride_w}, {dilation_h, dilation_w}, 1, compute, kDefaultMath};
  return mode == kCrossCorrelation ? kSuccess : kBadParam;
}
EXPORTED Status cudnnSetConvolutionGroupCount(void* desc, int groups) {
  static_cast<Convolution*>(desc)->groups = groups;
  return kSuccess;
}
EXPORTED Status cudnnSetConvolutionMathType(void* desc, Math math) {
  static_cast<Convolution*>(desc)->math = math;
  return kSuccess;
}
EXPORTED Status cudnnGetConvolutionForwardAlgorithm_v7(void*, void* x, void* w, void* convolution,
                                                       void* y, int requested, int* found,
                                                       Performance* ranked) {
  return rank("cudnnGetConvolutionForwardAlgorithm_v7", sizes(x), sizes(w), sizes(y),
              convolution_of(convolution), requested, found, ranked);
}
EXPORTED Status cudnnGetConvolutionBackwardDataAlgorithm_v7(void*, void* w, void* dy,
                                                            void* convolution, void* dx,
                                                            int requested, int* found,
                                                            Performance* ranked) {
  return rank("cudnnGetConvolutionBackwardDataAlgorithm_v7", sizes(dx), sizes(w), sizes(dy),
              convolution_of(convolution), requested, found, ranked);
}
EXPORTED Status cudnnGetConvolutionBackwardFilterAlgorithm_v7(void*, void* x, void* dy,
                                                              void* convolution, void* dw,
                                                              int requested, int* found,
                                                              Performance* ranked) {
  return rank("cudnnGetConvolutionBackwardFilterAlgorithm_v7", sizes(x), sizes(dw), sizes(dy),
              convolution_of(convolution), requested, found, ranked);
}
EXPORTED Status cudnnConvolutionForward(void* handle, const void* alpha, void* x_desc,
                                        const void* x, void* w_desc, const void* w,
                                        void* convolution, int algorithm, void* workspace,
                                        size_t workspace_bytes, const void* beta, void* y_desc,
                                        void* y) {
  const Sizes* shapes[3] = {&sizes(x_desc), &sizes(w_desc), &sizes(y_desc)};
  const void* data[3] = {x, w, nullptr};
  return convolve("cudnnConvolutionForward", handle, 2, shapes, data, y, convolution, algorithm,
                  workspace, workspace_bytes, alpha, beta);
}
EXPORTED Status cudnnConvolutionBackwardData(void* handle, const void* alpha, void* w_desc,
                                             const void* w, void* dy_desc, const void* dy,
                                             void* convolution, int algorithm, void* workspace,
                                             size_t workspace_bytes, const void* beta,
                                             void* dx_desc, void* dx) {
  const Sizes* shapes[3] = {&sizes(dx_desc), &sizes(w_desc), &sizes(dy_desc)};
  const void* data[3] = {nullptr, w, dy};
  return convolve("cudnnConvolutionBackwardData", handle, 0, shapes, data, dx, convolution,
                  algorithm, workspace, workspace_bytes, alpha, beta);
}
EXPORTED Status cudnnConvolutionBackwardFilter(void* handle, const void* alpha, void* x_desc,
                                               const void* x, void* dy_desc, const void* dy,
                                               void* convolution, int algorithm, void* workspace,
                                               size_t workspace_bytes, const void* beta,
                                               void* dw_desc, void* dw) {
  const Sizes* shapes[3] = {&sizes(x_desc), &sizes(dw_desc), &sizes(dy_desc)};
  const void* data[3] = {x, nullptr, dy};
  return convolve("cudnnConvolutionBackwardFilter", handle, 1, shapes, data, dw, convolution,
                  algorithm, workspace, workspace_bytes, alpha, beta);
}
