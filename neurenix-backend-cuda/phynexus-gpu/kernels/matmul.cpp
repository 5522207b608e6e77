#include "kernels/gemm.h"
#include "kernels/table.h"

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

void matmul(const Call& call) {
  const Tensor& out = call.out();
  const Tensor& x = call.in(0);
  const Tensor& y = call.in(1);
  const GemmShape shape{out.size(0, out.rank - 2), out.shape[out.rank - 2], out.shape[out.rank - 1],
                        x.shape[x.rank - 1]};
  visit(Numbers(), out.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    gemm(call.device, shape, loader<T>(x, out, x.rank - 2, x.rank - 1),
         loader<T>(y, out, y.rank - 1, y.rank - 2),
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
    gemm(call.device, shape, MatrixLoader<T>{x.as<const T>(), {}, depth, 1, true},
         MatrixLoader<T>{weight.as<const T>(), {}, depth, 1, true},
         MatrixStore<T>{out.as<T>(), bias, shape.rows, features});
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
