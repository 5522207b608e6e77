// Convolution and its gradients as matrix products whose operands are never written down: what the
// tiles of `gemm` hold is read from the images where it lies. A group is a matrix of a batch.
#include "kernels/gemm.h"
#include "kernels/table.h"
#include "kernels/windows.h"
#include "libraries/convolutions.h"

namespace phynexus {

namespace {

// Sizes of a convolution of images (N, groups channels, H, W) with kernels.
struct Convolution {
  int groups;
  int channels;  // of a group
  int features;  // of a group
  Windows windows;

  GPU_HOST_DEVICE int taps() const { return windows.down.kernel * windows.across.kernel; }
  GPU_HOST_DEVICE int64_t image() const {
    return static_cast<int64_t>(windows.down.size) * windows.across.size;
  }
  GPU_HOST_DEVICE int64_t places() const {
    return static_cast<int64_t>(windows.down.windows) * windows.across.windows;
  }
};

Convolution convolution(const Attributes& its, const int64_t* images, const int64_t* weight,
                        const int64_t* results) {
  const int groups = static_cast<int>(its.integer("groups"));
  return {groups, static_cast<int>(weight[1]), static_cast<int>(weight[0]) / groups,
          windows_of(its, images + 2, results + 2, weight + 2, true)};
}

// A channel and an element of its kernel, from their number; and a sample and one of its windows.
struct Tap {
  int channel;
  int row;
  int column;
};
GPU_DEVICE Tap tap_of(const Convolution& conv, int64_t number) {
  const int kernel = static_cast<int>(number);
  const int across = conv.windows.across.kernel;
  const int channel = kernel / conv.taps();
  const int rest = kernel - channel * conv.taps();
  return {channel, rest / across, rest - rest / across * across};
}

struct Spot {
  int64_t sample;
  int row;
  int column;
};
// Spots of `size` a sample, in rows of `width`.
GPU_DEVICE Spot spot_of(int64_t number, int64_t size, int width) {
  const int64_t sample = number / size;
  const int rest = static_cast<int>(number - sample * size);
  return {sample, rest / width, rest - rest / width * width};
}

// The image's value under a tap of a window; zero in the padding.
template <class T>
struct UnderTap {
  using Element = T;
  using Value = Wide<T>;
  using Start = const T*;

  Convolution conv;
  const T* x;
  bool tap_is_depth;  // otherwise the spots are
  bool depth_is_inner;

  GPU_DEVICE Start start(int64_t group) const { return x + group * conv.channels * conv.image(); }
  GPU_DEVICE Value at(Start group, int64_t outer, int64_t depth) const {
    const Tap tap = tap_of(conv, tap_is_depth ? depth : outer);
    const Spot spot =
        spot_of(tap_is_depth ? outer : depth, conv.places(), conv.windows.across.windows);
    const int row = conv.windows.down.place(spot.row, tap.row);
    const int column = conv.windows.across.place(spot.column, tap.column);
    if (!conv.windows.down.is_inside(row) || !conv.windows.across.is_inside(column)) return 0;
    const int64_t plane = spot.sample * conv.groups * conv.channels + tap.channel;
    return static_cast<Value>(group[plane * conv.image() +
                                    static_cast<int64_t>(row) * conv.windows.across.size + column]);
  }
};

// The gradient of the window that has the pixel `outer` under the tap `depth` (of a feature in
// place of the channel); zero where there is none.
template <class T>
struct GradOverTap {
  using Element = T;
  using Value = Wide<T>;
  using Start = const T*;

  Convolution conv;
  const T* grad;
  bool depth_is_inner = false;

  GPU_DEVICE Start start(int64_t group) const {
    return grad + group * conv.features * conv.places();
  }
  GPU_DEVICE Value at(Start group, int64_t outer, int64_t depth) const {
    const Tap tap = tap_of(conv, depth);
    const Spot pixel = spot_of(outer, conv.image(), conv.windows.across.size);
    const Axis& down = conv.windows.down;
    const Axis& across = conv.windows.across;
    const int y = pixel.row + down.before - tap.row * down.dilation;
    const int x = pixel.column + across.before - tap.column * across.dilation;
    if (y < 0 || x < 0 || y % down.stride != 0 || x % across.stride != 0) return 0;
    const int row = y / down.stride;
    const int column = x / across.stride;
    if (row >= down.windows || column >= across.windows) return 0;
    const int64_t plane = pixel.sample * conv.groups * conv.features + tap.channel;
    return static_cast<Value>(
        group[plane * conv.places() + static_cast<int64_t>(row) * across.windows + column]);
  }
};

// The weight of a channel (outer) for a feature and its tap (depth).
template <class T>
struct WeightOfChannel {
  using Element = T;
  using Value = Wide<T>;
  using Start = const T*;

  Convolution conv;
  const T* weight;
  bool depth_is_inner = true;

  GPU_DEVICE Start start(int64_t group) const {
    return weight + group * conv.features * conv.channels * conv.taps();
  }
  GPU_DEVICE Value at(Start group, int64_t channel, int64_t depth) const {
    const int64_t feature = depth / conv.taps();
    const int64_t tap = depth - feature * conv.taps();
    return static_cast<Value>(group[(feature * conv.channels + channel) * conv.taps() + tap]);
  }
};

// The gradient of a feature (outer) at a spot (depth).
template <class T>
struct GradOfFeature {
  using Element = T;
  using Value = Wide<T>;
  using Start = const T*;

  Convolution conv;
  const T* grad;
  bool depth_is_inner = true;

  GPU_DEVICE Start start(int64_t group) const {
    return grad + group * conv.features * conv.places();
  }
  GPU_DEVICE Value at(Start group, int64_t feature, int64_t depth) const {
    const int64_t sample = depth / conv.places();
    const int64_t place = depth - sample * conv.places();
    return static_cast<Value>(
        group[(sample * conv.groups * conv.features + feature) * conv.places() + place]);
  }
};

// Writes images: a matrix has a row a plane of its group, and a column an element of it and sample.
// Adds a bias and a residual where there are any.
template <class T>
struct ImageStore {
  T* out;
  const T* bias;
  const T* residual;
  int groups;
  int64_t planes;  // of a group
  int64_t size;    // of a plane
  bool is_rectified;

  GPU_DEVICE void put(int64_t group, int64_t plane, int64_t column, Wide<T> sum) const {
    const int64_t sample = column / size;
    const int64_t its = group * planes + plane;
    const int64_t place = (sample * groups * planes + its) * size + (column - sample * size);
    if (bias != nullptr) sum += static_cast<Wide<T>>(bias[its]);
    if (residual != nullptr) sum += static_cast<Wide<T>>(residual[place]);
    if (is_rectified && sum < 0) sum = 0;  // NaN stays NaN
    out[place] = convert<T>(sum);
  }
};

template <class T>
const T* data_or_null(const Tensor& tensor) {
  return tensor.present ? tensor.as<const T>() : nullptr;
}

// The convolution as a library takes it. Samples and sizes are those of the images and results.
ConvolutionSizes sizes_of(const Convolution& conv, DType dtype, int64_t samples) {
  const Axis& down = conv.windows.down;
  const Axis& across = conv.windows.across;
  ConvolutionSizes sizes;
  sizes.dtype = dtype;
  sizes.samples = samples;
  sizes.channels = int64_t{conv.groups} * conv.channels;
  sizes.features = int64_t{conv.groups} * conv.features;
  sizes.groups = conv.groups;
  for (int i = 0; i < 2; ++i) {
    const Axis& axis = i == 0 ? down : across;
    sizes.image[i] = axis.size;
    sizes.kernel[i] = axis.kernel;
    sizes.result[i] = axis.windows;
    sizes.stride[i] = axis.stride;
    sizes.before[i] = axis.before;
    sizes.dilation[i] = axis.dilation;
  }
  return sizes;
}

// What comes after a convolution that a library has done: bias, residual, relu; in place.
template <class T>
GPU_KERNEL void finish_kernel(int64_t count, int64_t size, int64_t planes, T* out, const T* bias,
                              const T* residual, bool is_rectified) {
  for (int64_t i = gpu_block_x() * gpu_threads() + gpu_thread(); i < count;
       i += gpu_blocks_x() * gpu_threads()) {
    Wide<T> sum = static_cast<Wide<T>>(out[i]);
    if (bias != nullptr) sum += static_cast<Wide<T>>(bias[i / size % planes]);
    if (residual != nullptr) sum += static_cast<Wide<T>>(residual[i]);
    if (is_rectified && sum < 0) sum = 0;  // NaN stays NaN
    out[i] = convert<T>(sum);
  }
}

template <class T>
void finish(const Call& call, const Convolution& conv, const Tensor& residual, bool is_rectified) {
  const Tensor& bias = call.in(2);
  if (!bias.present && !residual.present && !is_rectified) return;
  const int64_t count = call.out().size();
  gpu_launch(&finish_kernel<T>, {blocks_for(count, kMapThreads * kMapItems)}, kMapThreads,
             call.stream(), count, conv.places(), call.out().shape[1], call.out().as<T>(),
             data_or_null<T>(bias), data_or_null<T>(residual), is_rectified);
}

void convolve(const Call& call, const Tensor& residual, bool is_rectified) {
  const Tensor& out = call.out();
  const Tensor& x = call.in(0);
  const Tensor& weight = call.in(1);
  const Convolution conv = convolution(call.attributes, x.shape, weight.shape, out.shape);
  const int64_t depth = static_cast<int64_t>(conv.channels) * conv.taps();
  const GemmShape shape{conv.groups, conv.features, out.shape[0] * conv.places(), depth};
  const bool is_done =
      convolve_by_library(Convolved::kResults, sizes_of(conv, out.dtype, out.shape[0]), x.data,
                          weight.data, out.data, call.device);
  visit(Floats(), out.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    if (is_done) return finish<T>(call, conv, residual, is_rectified);
    Walk<1> groups;
    groups.add(conv.groups, {conv.features * depth});
    gemm(call.device, shape, MatrixLoader<T>{weight.as<const T>(), groups, depth, 1, true},
         UnderTap<T>{conv, x.as<const T>(), true, false},
         ImageStore<T>{out.as<T>(), data_or_null<T>(call.in(2)), data_or_null<T>(residual),
                       conv.groups, conv.features, conv.places(), is_rectified});
  });
}

void conv2d(const Call& call) { convolve(call, Tensor(), false); }

void conv2d_fused(const Call& call) {
  convolve(call, call.in(3), call.attributes.text("activation") == "relu");
}

void conv2d_grad_input(const Call& call) {
  const Tensor& out = call.out();
  const Tensor& grad = call.in(0);
  const Tensor& weight = call.in(1);
  const Convolution conv = convolution(call.attributes, out.shape, weight.shape, grad.shape);
  const GemmShape shape{conv.groups, conv.channels, out.shape[0] * conv.image(),
                        static_cast<int64_t>(conv.features) * conv.taps()};
  if (convolve_by_library(Convolved::kImages, sizes_of(conv, out.dtype, out.shape[0]), grad.data,
                          weight.data, out.data, call.device)) {
    return;
  }
  visit(Floats(), out.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    gemm(call.device, shape, WeightOfChannel<T>{conv, weight.as<const T>()},
         GradOverTap<T>{conv, grad.as<const T>()},
         ImageStore<T>{out.as<T>(), nullptr, nullptr, conv.groups, conv.channels, conv.image(),
                       false});
  });
}

void conv2d_grad_weight(const Call& call) {
  const Tensor& out = call.out();
  const Tensor& grad = call.in(0);
  const Tensor& x = call.in(1);
  const Convolution conv = convolution(call.attributes, x.shape, out.shape, grad.shape);
  const int64_t columns = static_cast<int64_t>(conv.channels) * conv.taps();
  const GemmShape shape{conv.groups, conv.features, columns, grad.shape[0] * conv.places()};
  if (convolve_by_library(Convolved::kWeights, sizes_of(conv, out.dtype, grad.shape[0]), grad.data,
                          x.data, out.data, call.device)) {
    return;
  }
  visit(Floats(), out.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    gemm(call.device, shape, GradOfFeature<T>{conv, grad.as<const T>()},
         UnderTap<T>{conv, x.as<const T>(), false, true},
         MatrixStore<T>{out.as<T>(), nullptr, conv.features, columns});
  });
}

}  // namespace

std::vector<Op> conv_ops() {
  const DTypeSet floats = set_of(Floats());
  return {
      {"conv2d", conv2d, floats},
      {"conv2d_fused", conv2d_fused, floats},
      {"conv2d_grad_input", conv2d_grad_input, floats},
      {"conv2d_grad_weight", conv2d_grad_weight, floats},
  };
}

}  // namespace phynexus
