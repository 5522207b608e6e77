#include "kernels/arithmetic.h"
#include "kernels/elementwise.h"
#include "kernels/table.h"

namespace phynexus {

namespace {

struct Relu {  // NaN stays NaN
  template <class T>
  GPU_DEVICE T operator()(T x) const {
    return x < T(0) ? T(0) : x;
  }
};

struct Sigmoid {  // of the two equal forms, the one whose exponential does not overflow
  template <class T>
  GPU_DEVICE T operator()(T x) const {
    const T small = std::exp(-std::fabs(x));
    return (x >= 0 ? T(1) : small) / (1 + small);
  }
};

struct Silu {
  template <class T>
  GPU_DEVICE T operator()(T x) const {
    return x * Sigmoid()(x);
  }
};

struct Gelu {
  template <class T>
  GPU_DEVICE T operator()(T x) const {
    return T(0.5) * x * (1 + std::erf(x * T(0.70710678118654752440)));
  }
};

struct GeluTanh {
  template <class T>
  GPU_DEVICE T operator()(T x) const {
    constexpr T kRoot = T(0.79788456080286535588);  // sqrt(2 / pi)
    return T(0.5) * x * (1 + std::tanh(kRoot * (x + T(0.044715) * x * x * x)));
  }
};

template <class T>
struct LeakyRelu {
  Wide<T> slope;
  GPU_DEVICE T operator()(T x) const {
    const auto wide = static_cast<Wide<T>>(x);
    return wide > 0 ? x : convert<T>(wide * slope);
  }
};

void gelu(const Call& call) {
  if (call.attributes.text("approximate") == "tanh") return run_unary<GeluTanh, Floats>(call);
  return run_unary<Gelu, Floats>(call);
}

void leaky_relu(const Call& call) {
  visit(Floats(), call.in(0).dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const auto slope = static_cast<Wide<T>>(call.attributes.real("negative_slope"));
    map(call.stream(), walk_over(call.out(), call.in(0)), LeakyRelu<T>{slope}, call.out().as<T>(),
        call.in(0).as<const T>());
  });
}

}  // namespace

std::vector<Op> activation_ops() {
  return {
      {"gelu", gelu, set_of(Floats()), true, true},
      {"leaky_relu", leaky_relu, set_of(Floats()), true, true},
      unary<Relu, Every>("relu"),
      unary<Sigmoid, Floats>("sigmoid"),
      unary<Silu, Floats>("silu"),
  };
}

}  // namespace phynexus
