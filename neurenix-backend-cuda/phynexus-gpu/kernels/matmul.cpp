#include "kernels/gemm.h"
#include "kernels/table.h"
#include "libraries/products.h"

namespace phynexus {

namespace {

// The loader of the matrices in the last two axes, for batches of the output's shape.
template <class T>
MatrixLoader<T> loader(const Tensor& x, const Tensor& out, int outer_axis, int depth_axis) {
  Walk<1> batches;
  for (int axis = 0; axis < out.rank - 2; ++axis) {
    batches.add(out.shape[axis], {broadcast_stride(x, out.rank, axis)});
  }
  const int64_t outer = x.strides[outer_axis];
  const int64_t depth = x.strides[depth_axis];
  return {x.as<const T>(), batches, outer, depth, depth < outer};
}

struct PlusBias {
  template <class T>
  GPU_DEVICE T operator()(T sum, T each) const {
    return convert<T>(static_cast<Wide<T>>(sum) + static_cast<Wide<T>>(each));
  }
};

// Multiplies by a library where one is open and takes the operands. Adds the bias afterwards where
// the library does not.
template <class T>
bool multiply(Device& device, const GemmShape& shape, const MatrixLoader<T>& left,
              const MatrixLoader<T>& right, T* out, const T* bias) {
  if (left.batches.rank > 1 || right.batches.rank > 1) return false;
  Product product;
  product.batches = shape.batches;
  product.rows = shape.rows;
  product.columns = shape.columns;
  product.depth = shape.depth;
  product.left = {left.data, left.outer_stride, left.depth_stride, left.batches.strides[0][0]};
  product.right = {right.data, right.depth_stride, right.outer_stride, right.batches.strides[0][0]};
  product.out = out;
  product.bias = bias;
  product.dtype = DTypeOf<T>::value;
  if (multiply_by_library(product, device)) return true;
  product.bias = nullptr;
  if (bias == nullptr || !multiply_by_library(product, device)) return false;
  Walk<3> walk;
  walk.add(shape.batches * shape.rows, {shape.columns, shape.columns, 0});
  walk.add(shape.columns, {1, 1, 1});
  map(device.stream(), walk, PlusBias(), out, static_cast<const T*>(out), bias);
  return true;
}

void matmul(const Call& call) {
  const Tensor& out = call.out();
  const Tensor& x = call.in(0);
  const Tensor& y = call.in(1);
  const GemmShape shape{out.size(0, out.rank - 2), out.shape[out.rank - 2], out.shape[out.rank - 1],
                        x.shape[x.rank - 1]};
  visit(Numbers(), out.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const MatrixLoader<T> left = loader<T>(x, out, x.rank - 2, x.rank - 1);
    const MatrixLoader<T> right = loader<T>(y, out, y.rank - 1, y.rank - 2);
    if constexpr (is_float<T>) {
      if (multiply<T>(call.device, shape, left, right, out.as<T>(), nullptr)) return;
    }
    gemm(call.device, shape, left, right,
         MatrixStore<T>{out.as<T>(), nullptr, shape.rows, shape.columns});
  });
}

// x W^T + b, where x has any number of leading axes.
void linear(const Call& call) {
  const Tensor& out = call.out();
  const Tensor& x = call.in(0);
  const Tensor& weight = call.in(1);
  const int64_t features = weight.shape[0];
  const int64_t depth = weight.shape[1];
  const GemmShape shape{1, x.size(0, x.rank - 1), features, depth};
  visit(Floats(), out.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T* bias = call.in(2).present ? call.in(2).as<const T>() : nullptr;
    const MatrixLoader<T> left{x.as<const T>(), {}, depth, 1, true};
    const MatrixLoader<T> right{weight.as<const T>(), {}, depth, 1, true};
    if (multiply<T>(call.device, shape, left, right, out.as<T>(), bias)) return;
    gemm(call.device, shape, left, right, MatrixStore<T>{out.as<T>(), bias, shape.rows, features});
  });
}

}  // namespace

std::vector<Op> matmul_ops() {
  return {
      {"linear", linear, set_of(Floats())},
      {"matmul", matmul, set_of(Numbers()), true},
  };
}

}  // namespace phynexus
