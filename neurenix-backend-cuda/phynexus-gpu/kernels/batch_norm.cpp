// Normalisation of channels. Statistics come from two passes, the mean first: the one-pass formula
// E[x^2] - E[x]^2 cancels where the mean is large.
#include "kernels/reduce.h"
#include "kernels/table.h"
#include "tensor/floats.h"

namespace phynexus {

namespace {

// Images (N, C, ...): the channel of an element, and how many values a channel has.
struct Channels {
  int64_t size;  // of all
  int64_t channels;
  int64_t plane;  // elements of a channel of one sample

  GPU_DEVICE int64_t of(int64_t i) const { return i / plane % channels; }
  int64_t count() const { return channels == 0 ? 0 : size / channels; }
};

Channels channels_of(const Tensor& x) { return {x.size(), x.shape[1], x.size(2, x.rank)}; }

std::vector<int64_t> all_but_channels(const Tensor& x) {
  std::vector<int64_t> axes{0};
  for (int axis = 2; axis < x.rank; ++axis) axes.push_back(axis);
  return axes;
}

template <class T>
struct MeanRule {
  using Sum = Wide<T>;
  const T* x;
  Sum* mean;
  Sum count;

  GPU_DEVICE Sum nothing() const { return 0; }
  GPU_DEVICE Sum term(int64_t place, int64_t, int64_t) const { return static_cast<Sum>(x[place]); }
  GPU_DEVICE Sum combine(Sum a, Sum b) const { return a + b; }
  GPU_DEVICE void store(int64_t channel, Sum sum) const { mean[channel] = sum / count; }
};

template <class T>
struct VarianceRule {
  using Sum = Wide<T>;
  const T* x;
  const Sum* mean;
  Sum* rstd;
  Sum* var;
  Sum count;
  Sum eps;

  GPU_DEVICE Sum nothing() const { return 0; }
  GPU_DEVICE Sum term(int64_t place, int64_t channel, int64_t) const {
    const Sum centred = static_cast<Sum>(x[place]) - mean[channel];
    return centred * centred;
  }
  GPU_DEVICE Sum combine(Sum a, Sum b) const { return a + b; }
  GPU_DEVICE void store(int64_t channel, Sum sum) const {
    var[channel] = sum / count;
    rstd[channel] = 1 / std::sqrt(sum / count + eps);
  }
};

template <class T>
GPU_KERNEL void normalise_kernel(Channels shape, T* out, const T* x, const Wide<T>* mean,
                                 const Wide<T>* rstd, AnyFloats weight, AnyFloats bias) {
  using W = Wide<T>;
  for (int64_t i = gpu_block_x() * gpu_threads() + gpu_thread(); i < shape.size;
       i += gpu_blocks_x() * gpu_threads()) {
    const int64_t c = shape.of(i);
    const W normal = (static_cast<W>(x[i]) - mean[c]) * rstd[c];
    out[i] = convert<T>(normal * weight.at_or<W>(c, 1) + bias.at_or<W>(c, 0));
  }
}

void batch_norm_train(const Call& call) {
  const Tensor& x = call.in(0);
  const Channels shape = channels_of(x);
  visit(Floats(), x.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    using W = Wide<T>;
    const auto axes = all_but_channels(x);
    const auto count = static_cast<W>(shape.count());
    const auto eps = static_cast<W>(call.attributes.real("eps"));
    W* mean = call.out(1).as<W>();
    W* rstd = call.out(2).as<W>();
    reduce(call.device, x, axes, MeanRule<T>{x.as<const T>(), mean, count});
    reduce(call.device, x, axes,
           VarianceRule<T>{x.as<const T>(), mean, rstd, call.out(3).as<W>(), count, eps});
    if (shape.size == 0) return;
    gpu_launch(&normalise_kernel<T>, {blocks_for(shape.size, 256)}, 256, call.stream(), shape,
               call.out(0).as<T>(), x.as<const T>(), mean, rstd, floats_of(call.in(1)),
               floats_of(call.in(2)));
  });
}

template <class T>
GPU_KERNEL void inference_kernel(Channels shape, T* out, const T* x, AnyFloats mean, AnyFloats var,
                                 AnyFloats weight, AnyFloats bias, Wide<T> eps) {
  using W = Wide<T>;
  for (int64_t i = gpu_block_x() * gpu_threads() + gpu_thread(); i < shape.size;
       i += gpu_blocks_x() * gpu_threads()) {
    const int64_t c = shape.of(i);
    const W scale = weight.at_or<W>(c, 1) / std::sqrt(var.at<W>(c) + eps);
    const W centred = static_cast<W>(x[i]) - mean.at<W>(c);
    out[i] = convert<T>(centred * scale + bias.at_or<W>(c, 0));
  }
}

void batch_norm_inference(const Call& call) {
  const Tensor& x = call.in(0);
  const Channels shape = channels_of(x);
  if (shape.size == 0) return;
  visit(Floats(), x.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    gpu_launch(&inference_kernel<T>, {blocks_for(shape.size, 256)}, 256, call.stream(), shape,
               call.out().as<T>(), x.as<const T>(), floats_of(call.in(1)), floats_of(call.in(2)),
               floats_of(call.in(3)), floats_of(call.in(4)),
               static_cast<Wide<T>>(call.attributes.real("eps")));
  });
}

template <class W>
struct GradSums {
  W grad;
  W product;  // of the gradient and the normalised value
};

template <class T>
struct GradSumsRule {
  using W = Wide<T>;
  using Sum = GradSums<W>;
  const T* grad;
  const T* x;
  const W* mean;
  const W* rstd;
  Sum* sums;
  T* dweight;
  T* dbias;

  GPU_DEVICE Sum nothing() const { return {0, 0}; }
  GPU_DEVICE Sum term(int64_t place, int64_t channel, int64_t) const {
    const W g = static_cast<W>(grad[place]);
    return {g, g * ((static_cast<W>(x[place]) - mean[channel]) * rstd[channel])};
  }
  GPU_DEVICE Sum combine(const Sum& a, const Sum& b) const {
    return {a.grad + b.grad, a.product + b.product};
  }
  GPU_DEVICE void store(int64_t channel, const Sum& sum) const {
    sums[channel] = sum;
    dweight[channel] = convert<T>(sum.product);
    dbias[channel] = convert<T>(sum.grad);
  }
};

// dx = weight rstd (grad - mean(grad) - normalised mean(grad normalised)).
template <class T>
GPU_KERNEL void backward_kernel(Channels shape, T* dx, const T* grad, const T* x,
                                const Wide<T>* mean, const Wide<T>* rstd,
                                const GradSums<Wide<T>>* sums, AnyFloats weight, Wide<T> count) {
  using W = Wide<T>;
  for (int64_t i = gpu_block_x() * gpu_threads() + gpu_thread(); i < shape.size;
       i += gpu_blocks_x() * gpu_threads()) {
    const int64_t c = shape.of(i);
    const W normal = (static_cast<W>(x[i]) - mean[c]) * rstd[c];
    const W level = sums[c].grad / count + normal * (sums[c].product / count);
    dx[i] = convert<T>((static_cast<W>(grad[i]) - level) * rstd[c] * weight.at_or<W>(c, 1));
  }
}

void batch_norm_backward(const Call& call) {
  const Tensor& grad = call.in(0);
  const Tensor& x = call.in(1);
  const Channels shape = channels_of(x);
  visit(Floats(), x.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    using W = Wide<T>;
    const W* mean = call.in(3).as<const W>();
    const W* rstd = call.in(4).as<const W>();
    Scratch scratch(call.device.memory(), shape.channels * sizeof(GradSums<W>));
    auto* sums = scratch.as<GradSums<W>>();
    reduce(call.device, x, all_but_channels(x),
           GradSumsRule<T>{grad.as<const T>(), x.as<const T>(), mean, rstd, sums,
                           call.out(1).as<T>(), call.out(2).as<T>()});
    if (shape.size == 0) return;
    gpu_launch(&backward_kernel<T>, {blocks_for(shape.size, 256)}, 256, call.stream(), shape,
               call.out(0).as<T>(), grad.as<const T>(), x.as<const T>(), mean, rstd, sums,
               floats_of(call.in(2)), static_cast<W>(shape.count()));
  });
}

template <class W>
GPU_KERNEL void running_average_kernel(int64_t size, AnyFloats running, AnyFloats value,
                                       W momentum) {
  for (int64_t i = gpu_block_x() * gpu_threads() + gpu_thread(); i < size;
       i += gpu_blocks_x() * gpu_threads()) {
    const W old = running.at<W>(i);
    running.put(i, old + momentum * (value.at<W>(i) - old));
  }
}

void running_average(const Call& call) {
  const int64_t size = call.out().size();
  if (size == 0) return;
  visit_wide(call.out().dtype, [&](auto tag) {
    using W = typename decltype(tag)::type;
    gpu_launch(&running_average_kernel<W>, {blocks_for(size, 256)}, 256, call.stream(), size,
               floats_of(call.out()), floats_of(call.in(1)),
               static_cast<W>(call.attributes.real("momentum")));
  });
}

}  // namespace

std::vector<Op> batch_norm_ops() {
  const DTypeSet floats = set_of(Floats());
  return {
      {"batch_norm_backward", batch_norm_backward, floats},
      {"batch_norm_inference", batch_norm_inference, floats},
      {"batch_norm_train", batch_norm_train, floats},
      {"running_average", running_average, floats},
  };
}

}  // namespace phynexus
