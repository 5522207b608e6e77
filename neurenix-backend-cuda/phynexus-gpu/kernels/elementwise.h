// How a functor of `arithmetic` becomes the kernel of an op: one line in a table.
#pragma once

#include "kernels/map.h"

namespace phynexus {

// The functor on elements as they are stored: it computes in Wide<T>.
template <class Function, class T>
struct OnStored {
  template <class... X>
  GPU_DEVICE auto operator()(X... x) const {
    using Result = decltype(Function()(static_cast<Wide<T>>(x)...));
    using Out = std::conditional_t<std::is_same_v<Result, Wide<T>>, T, Result>;
    return convert<Out>(Function()(static_cast<Wide<T>>(x)...));
  }
};

template <class Function, class T>
using OutputOf1 = decltype(OnStored<Function, T>()(T()));
template <class Function, class T>
using OutputOf2 = decltype(OnStored<Function, T>()(T(), T()));

template <class Function, class Set>
void run_unary(const Call& call) {
  visit(Set(), call.in(0).dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    map(call.stream(), walk_over(call.out(), call.in(0)), OnStored<Function, T>(),
        call.out().as<OutputOf1<Function, T>>(), call.in(0).as<const T>());
  });
}

template <class Function, class Set>
void run_binary(const Call& call) {
  visit(Set(), call.in(0).dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    map(call.stream(), walk_over(call.out(), call.in(0), call.in(1)), OnStored<Function, T>(),
        call.out().as<OutputOf2<Function, T>>(), call.in(0).as<const T>(),
        call.in(1).as<const T>());
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
