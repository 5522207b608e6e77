#include "kernels/reduce.h"
#include "kernels/table.h"

namespace phynexus {

namespace {

template <class T>
struct SumRule {
  // Integers are summed, and given, as int64.
  using Sum = std::conditional_t<is_float<T>, Wide<T>, int64_t>;
  using Out = std::conditional_t<is_float<T>, T, int64_t>;
  const T* x;
  Out* out;

  GPU_DEVICE Sum nothing() const { return Sum(0); }
  GPU_DEVICE Sum term(int64_t place, int64_t, int64_t) const { return static_cast<Sum>(x[place]); }
  GPU_DEVICE Sum combine(Sum a, Sum b) const { return a + b; }
  GPU_DEVICE void store(int64_t output, Sum sum) const { out[output] = convert<Out>(sum); }
};

template <class T>
struct ProductRule : SumRule<T> {
  using typename SumRule<T>::Sum;
  GPU_DEVICE Sum nothing() const { return Sum(1); }
  GPU_DEVICE Sum combine(Sum a, Sum b) const { return a * b; }
};

// A value and where it is; the first of equal ones counts, and a NaN before every number.
template <class T>
struct Found {
  T value;
  int64_t place;  // negative: none
};

template <class T, bool kLargest>
struct Extremum {
  using Sum = Found<Wide<T>>;
  const T* x;

  GPU_DEVICE Sum nothing() const { return {Wide<T>(0), -1}; }
  GPU_DEVICE Sum term(int64_t place, int64_t, int64_t i) const {
    return {static_cast<Wide<T>>(x[place]), i};
  }
  GPU_DEVICE Sum combine(const Sum& a, const Sum& b) const {
    if (a.place < 0 || b.place < 0) return a.place < 0 ? b : a;
    const bool a_nan = a.value != a.value;
    const bool b_nan = b.value != b.value;
    const bool tied = (a_nan && b_nan) || a.value == b.value;
    if (tied) return a.place < b.place ? a : b;
    if (a_nan || b_nan) return a_nan ? a : b;
    return (kLargest ? a.value > b.value : a.value < b.value) ? a : b;
  }
};

template <class T, bool kLargest>
struct ExtremumRule : Extremum<T, kLargest> {
  using Out = T;
  Out* out;
  GPU_DEVICE void store(int64_t output, const Found<Wide<T>>& found) const {
    out[output] = convert<T>(found.value);
  }
};

template <class T, bool kLargest>
struct PlaceRule : Extremum<T, kLargest> {
  using Out = int64_t;
  Out* out;
  GPU_DEVICE void store(int64_t output, const Found<Wide<T>>& found) const {
    out[output] = found.place;
  }
};

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
    using T = typename decltype(tag)::type;
    Rule<T> rule;
    rule.x = call.in(0).as<const T>();
    rule.out = call.out().as<typename Rule<T>::Out>();
    reduce(call.device, call.in(0), call.attributes.integers("axes"), rule);
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
