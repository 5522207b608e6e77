// Convolutions by a library of the vendor's, where one is open.
#pragma once

#include "runtime/device.h"
#include "tensor/dtype.h"

namespace phynexus {

// What is computed of the three tensors, all dense: images (N, C, H, W), weights (O, C / groups,
// KH, KW), results (N, O, OH, OW).
enum class Convolved : int {
  kResults,  // of images and weights
  kImages,   // the gradient, of that of the results and of the weights
  kWeights,  // the gradient, of that of the results and of the images
};

// Pairs are of rows and of columns.
struct ConvolutionSizes {
  DType dtype = DType::kFloat32;
  int64_t samples = 0;
  int64_t channels = 0;
  int64_t features = 0;
  int64_t groups = 1;
  int64_t image[2] = {};
  int64_t kernel[2] = {};
  int64_t result[2] = {};
  int64_t stride[2] = {};
  int64_t before[2] = {};  // zeros above and to the left
  int64_t dilation[2] = {};
};

// Computes one of the three tensors; `first` and `second` are the others as listed above. Returns
// false where no library is open that takes such sizes: then nothing has been done.
//
// Throws std::runtime_error where a library fails.
bool convolve_by_library(Convolved what, const ConvolutionSizes& sizes, const void* first,
                         const void* second, void* out, Device& device);

}  // namespace phynexus
