// Convolutions by cuDNN.
#pragma once

#include <string>

#include "libraries/convolutions.h"

namespace phynexus {

std::string open_cudnn(const std::string& path);

}  // namespace phynexus
