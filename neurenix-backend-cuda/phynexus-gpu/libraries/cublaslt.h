// Products of matrices by cuBLASLt.
#pragma once

#include <string>

#include "libraries/products.h"

namespace phynexus {

std::string open_cublaslt(const std::string& path);

// Algorithms are those that the library ranks first among the deterministic ones: partial sums are
// added by one thread, and the workspace has the same size always, so that the choice follows from
// the device, the library's version, shapes, strides and the alignment of the operands alone.
bool multiply_by_cublaslt(const Product& product, Device& device);

}  // namespace phynexus
