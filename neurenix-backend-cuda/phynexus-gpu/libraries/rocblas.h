// Products of matrices by rocBLAS.
#pragma once

#include <string>

#include "libraries/products.h"

namespace phynexus {

std::string open_rocblas(const std::string& path);

// Without atomics, and with a workspace of the engine's. A bias it does not know: such products it
// does not take.
bool multiply_by_rocblas(const Product& product, Device& device);

}  // namespace phynexus
