#include "kernels/reduce.h"
#include "kernels/table.h"

namespace phynexus {

namespace {

template <class T>
using MaxRule = ExtremumRule<T, true>;
template <class T>
using MinRule = ExtremumRule<T, false>;
template <class T>
using ArgmaxRule = PlaceRule<T, true>;
template <class T>
using ArgminRule = PlaceRule<T, false>;

template <template <class> class Rule>
void run(const Call& call) {
  visit(Every(), call.in(0).dtype, [&](auto tag) {
    using Its = Rule<typename decltype(tag)::type>;
    reduce(call.device, call.in(0), call.attributes.integers("axes"), Its(),
           call.out().as<typename Its::Out>());
  });
}

}  // namespace

std::vector<Op> reduction_ops() {
  const DTypeSet every = set_of(Every());
  return {
      {"argmax", run<ArgmaxRule>, every, true}, {"argmin", run<ArgminRule>, every, true},
      {"max", run<MaxRule>, every, true},       {"min", run<MinRule>, every, true},
      {"prod", run<ProductRule>, every, true},  {"sum", run<SumRule>, every, true},
  };
}

}  // namespace phynexus
