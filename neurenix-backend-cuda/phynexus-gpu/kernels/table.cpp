#include "kernels/table.h"

namespace phynexus {

const std::vector<Op>& ops() {
  static const std::vector<Op> all = [] {
    std::vector<Op> found;
    for (auto family :
         {activation_ops, attention_ops, batch_norm_ops, binary_ops, comparison_ops, conv_ops,
          indexing_ops, layer_norm_ops, matmul_ops, movement_ops, optimizer_ops, pooling_ops,
          random_ops, reduction_ops, scatter_ops, softmax_ops, sort_ops, unary_ops}) {
      const std::vector<Op> its = family();
      found.insert(found.end(), its.begin(), its.end());
    }
    return found;
  }();
  return all;
}

}  // namespace phynexus
