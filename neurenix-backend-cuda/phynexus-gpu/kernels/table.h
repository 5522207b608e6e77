// The ops that there are kernels for, family by family.
#pragma once

#include <vector>

#include "tensor/tensor.h"

namespace phynexus {

// A family is a file of this folder.
std::vector<Op> activation_ops();
std::vector<Op> attention_ops();
std::vector<Op> batch_norm_ops();
std::vector<Op> binary_ops();
std::vector<Op> comparison_ops();
std::vector<Op> conv_ops();
std::vector<Op> indexing_ops();
std::vector<Op> layer_norm_ops();
std::vector<Op> matmul_ops();
std::vector<Op> movement_ops();
std::vector<Op> optimizer_ops();
std::vector<Op> pooling_ops();
std::vector<Op> random_ops();
std::vector<Op> reduction_ops();
std::vector<Op> scatter_ops();
std::vector<Op> softmax_ops();
std::vector<Op> sort_ops();
std::vector<Op> unary_ops();

// All of them; the place of an op is its number.
const std::vector<Op>& ops();

// Copies a tensor of any strides to dense memory.
void copy_to_dense(const Tensor& from, void* to, Device& device);

}  // namespace phynexus
