#include "kernels/arithmetic.h"
#include "kernels/elementwise.h"
#include "kernels/table.h"

namespace phynexus {

std::vector<Op> unary_ops() {
  using namespace arithmetic;
  return {
      unary<Neg, Numbers>("neg"),  unary<Sign, Numbers>("sign"),
      unary<Abs, Every>("abs"),    unary<Floor, Every>("floor"),
      unary<Ceil, Every>("ceil"),  unary<Round, Every>("round"),
      unary<Exp, Floats>("exp"),   unary<Log, Floats>("log"),
      unary<Sqrt, Floats>("sqrt"), unary<Sin, Floats>("sin"),
      unary<Cos, Floats>("cos"),   unary<Tanh, Floats>("tanh"),
      unary<Erf, Floats>("erf"),   unary<LogicalNot, Every>("logical_not"),
  };
}

}  // namespace phynexus
