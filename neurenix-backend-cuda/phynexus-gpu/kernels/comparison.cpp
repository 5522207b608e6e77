#include "kernels/arithmetic.h"
#include "kernels/elementwise.h"
#include "kernels/table.h"

namespace phynexus {

std::vector<Op> comparison_ops() {
  using namespace arithmetic;
  return {
      binary<Eq, Every>("eq"),
      binary<Ne, Every>("ne"),
      binary<Lt, Every>("lt"),
      binary<Le, Every>("le"),
      binary<Gt, Every>("gt"),
      binary<Ge, Every>("ge"),
      binary<And, IntsAndBool>("bitwise_and"),
      binary<Or, IntsAndBool>("bitwise_or"),
      binary<Xor, IntsAndBool>("bitwise_xor"),
      binary<ShiftRight, Ints>("shift_right"),
  };
}

}  // namespace phynexus
