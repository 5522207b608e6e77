// Normalisation of rows: a block a row, the mean first.
#include "kernels/arithmetic.h"
#include "kernels/reduce.h"
#include "kernels/table.h"
#include "tensor/floats.h"

namespace phynexus {

namespace {

// Rows of elements that are normalised together.
struct Rows {
  int64_t count;
  int64_t width;

  int threads() const { return width > 256 ? 256 : 64; }
  int64_t blocks() const { return std::min<int64_t>(count, int64_t{1} << 22); }
};

Rows rows_of(const Tensor& x, int64_t axes) {
  const int cut = x.rank - static_cast<int>(axes);
  return {x.size(0, cut), x.size(cut, x.rank)};
}

template <class T>
GPU_KERNEL void layer_norm_kernel(Rows rows, T* out, Wide<T>* means, Wide<T>* rstds, const T* x,
                                  AnyFloats weight, AnyFloats bias, Wide<T> eps) {
  using W = Wide<T>;
  const W width = static_cast<W>(rows.width);
  for (int64_t r = gpu_block_x(); r < rows.count; r += gpu_blocks_x()) {
    const T* row = x + r * rows.width;
    W sum = 0;
    for (int64_t i = gpu_thread(); i < rows.width; i += gpu_threads()) {
      sum += static_cast<W>(row[i]);
    }
    const W mean = combine_block(sum, arithmetic::Add()) / width;
    W square = 0;
    for (int64_t i = gpu_thread(); i < rows.width; i += gpu_threads()) {
      const W centred = static_cast<W>(row[i]) - mean;
      square += centred * centred;
    }
    const W rstd = 1 / std::sqrt(combine_block(square, arithmetic::Add()) / width + eps);
    for (int64_t i = gpu_thread(); i < rows.width; i += gpu_threads()) {
      const W normal = (static_cast<W>(row[i]) - mean) * rstd;
      out[r * rows.width + i] = convert<T>(normal * weight.at_or<W>(i, 1) + bias.at_or<W>(i, 0));
    }
    if (gpu_thread() == 0) {
      means[r] = mean;
      rstds[r] = rstd;
    }
  }
}

void layer_norm(const Call& call) {
  const Tensor& x = call.in(0);
  const Rows rows = rows_of(x, call.attributes.integer("axes"));
  if (rows.count == 0) return;
  visit(Floats(), x.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    using W = Wide<T>;
    gpu_launch(&layer_norm_kernel<T>, {rows.blocks()}, rows.threads(), call.stream(), rows,
               call.out(0).as<T>(), call.out(1).as<W>(), call.out(2).as<W>(), x.as<const T>(),
               floats_of(call.in(1)), floats_of(call.in(2)),
               static_cast<W>(call.attributes.real("eps")));
  });
}

// dx = rstd (scaled - mean(scaled) - normalised mean(scaled normalised)), scaled = grad weight.
template <class T>
GPU_KERNEL void grad_input_kernel(Rows rows, T* dx, const T* grad, const T* x, AnyFloats weight,
                                  const Wide<T>* means, const Wide<T>* rstds) {
  using W = Wide<T>;
  const W width = static_cast<W>(rows.width);
  for (int64_t r = gpu_block_x(); r < rows.count; r += gpu_blocks_x()) {
    const int64_t first = r * rows.width;
    const W mean = means[r];
    const W rstd = rstds[r];
    W level = 0;
    W slope = 0;
    for (int64_t i = gpu_thread(); i < rows.width; i += gpu_threads()) {
      const W scaled = static_cast<W>(grad[first + i]) * weight.at_or<W>(i, 1);
      level += scaled;
      slope += scaled * ((static_cast<W>(x[first + i]) - mean) * rstd);
    }
    level = combine_block(level, arithmetic::Add()) / width;
    slope = combine_block(slope, arithmetic::Add()) / width;
    for (int64_t i = gpu_thread(); i < rows.width; i += gpu_threads()) {
      const W scaled = static_cast<W>(grad[first + i]) * weight.at_or<W>(i, 1);
      const W normal = (static_cast<W>(x[first + i]) - mean) * rstd;
      dx[first + i] = convert<T>((scaled - level - normal * slope) * rstd);
    }
  }
}

template <class W>
struct GradSums {
  W grad;
  W product;  // of the gradient and the normalised value
};

// The gradients of weight and bias, which are sums over the rows: element i of a column is row i.
template <class T>
struct GradWeightRule {
  using W = Wide<T>;
  using Sum = GradSums<W>;
  const T* grad;
  const T* x;
  const W* mean;
  const W* rstd;
  T* dweight;
  T* dbias;

  GPU_DEVICE Sum nothing() const { return {0, 0}; }
  GPU_DEVICE Sum term(int64_t place, int64_t, int64_t row) const {
    const W g = static_cast<W>(grad[place]);
    return {g, g * ((static_cast<W>(x[place]) - mean[row]) * rstd[row])};
  }
  GPU_DEVICE Sum combine(const Sum& a, const Sum& b) const {
    return {a.grad + b.grad, a.product + b.product};
  }
  GPU_DEVICE void store(int64_t column, const Sum& sum) const {
    dweight[column] = convert<T>(sum.product);
    dbias[column] = convert<T>(sum.grad);
  }
};

void layer_norm_backward(const Call& call) {
  const Tensor& grad = call.in(0);
  const Tensor& x = call.in(1);
  const int64_t axes = call.attributes.integer("axes");
  const Rows rows = rows_of(x, axes);
  std::vector<int64_t> leading;
  for (int axis = 0; axis < x.rank - axes; ++axis) leading.push_back(axis);
  visit(Floats(), x.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    using W = Wide<T>;
    const W* mean = call.in(3).as<const W>();
    const W* rstd = call.in(4).as<const W>();
    reduce(call.device, x, leading,
           GradWeightRule<T>{grad.as<const T>(), x.as<const T>(), mean, rstd, call.out(1).as<T>(),
                             call.out(2).as<T>()});
    if (rows.count * rows.width == 0) return;
    gpu_launch(&grad_input_kernel<T>, {rows.blocks()}, rows.threads(), call.stream(), rows,
               call.out(0).as<T>(), grad.as<const T>(), x.as<const T>(), floats_of(call.in(2)),
               mean, rstd);
  });
}

}  // namespace

std::vector<Op> layer_norm_ops() {
  return {
      {"layer_norm", layer_norm, set_of(Floats())},
      {"layer_norm_backward", layer_norm_backward, set_of(Floats())},
  };
}

}  // namespace phynexus
