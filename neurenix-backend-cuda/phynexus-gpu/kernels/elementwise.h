// How a functor of `arithmetic` becomes the kernel of an op: one line in a table.
#pragma once

#include "kernels/map.h"

namespace phynexus {

// Whether a functor gives bools, whatever it takes; else it gives what it takes.
template <class Function, class... X>
constexpr bool gives_bool = std::is_same_v<decltype(Function()(X()...)), bool>;

// The functor on elements as they are stored: it computes in Wide<T>.
template <class Function, class T>
struct OnStored {
  template <class... X>
  GPU_DEVICE auto operator()(X... x) const {
    using Out = std::conditional_t<gives_bool<Function, X...>, bool, T>;
    return convert<Out>(Function()(static_cast<Wide<T>>(x)...));
  }
};

// Calls `run` with the output's elements. Their type is spelled out, not derived from the functor:
// nvcc repeats a type under the first name it has met, where that may mean nothing to the compiler
// of the host.
template <bool kBool, class T, class Run>
void with_output(const Tensor& out, const Run& run) {
  if constexpr (kBool) {
    run(out.as<bool>());
  } else {
    run(out.as<T>());
  }
}

template <class Function, class Set>
void run_unary(const Call& call) {
  visit(Set(), call.in(0).dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    with_output<gives_bool<Function, T>, T>(call.out(), [&](auto* out) {
      map(call.stream(), walk_over(call.out(), call.in(0)), OnStored<Function, T>(), out,
          call.in(0).as<const T>());
    });
  });
}

template <class Function, class Set>
void run_binary(const Call& call) {
  visit(Set(), call.in(0).dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    with_output<gives_bool<Function, T, T>, T>(call.out(), [&](auto* out) {
      map(call.stream(), walk_over(call.out(), call.in(0), call.in(1)), OnStored<Function, T>(),
          out, call.in(0).as<const T>(), call.in(1).as<const T>());
    });
  });
}

template <class Function, class Set>
Op unary(const char* name) {
  return {name, &run_unary<Function, Set>, set_of(Set()), true, true};
}

template <class Function, class Set>
Op binary(const char* name) {
  return {name, &run_binary<Function, Set>, set_of(Set()), true, true};
}

}  // namespace phynexus
