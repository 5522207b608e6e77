#include "kernels/arithmetic.h"
#include "kernels/elementwise.h"
#include "kernels/table.h"

namespace phynexus {

std::vector<Op> binary_ops() {
  using namespace arithmetic;
  return {
      binary<Add, Every>("add"),
      binary<Sub, Numbers>("sub"),
      binary<Mul, Every>("mul"),
      binary<Div, Floats>("div"),
      binary<FloorDiv, Numbers>("floor_div"),
      binary<Mod, Numbers>("mod"),
      binary<Pow, Numbers>("pow"),
      binary<Maximum, Every>("maximum"),
      binary<Minimum, Every>("minimum"),
  };
}

}  // namespace phynexus
