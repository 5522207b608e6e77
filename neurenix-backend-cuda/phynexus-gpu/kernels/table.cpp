#include "kernels/table.h"

namespace phynexus {

const std::vector<Op>& ops() {
  static const std::vector<Op> all = [] {
    std::vector<Op> found;
    for (auto family : {binary_ops, comparison_ops, indexing_ops, matmul_ops, movement_ops,
                        random_ops, reduction_ops, unary_ops}) {
      const std::vector<Op> its = family();
      found.insert(found.end(), its.begin(), its.end());
    }
    return found;
  }();
  return all;
}

}  // namespace phynexus
