// The windows of convolution and pooling.
#pragma once

#include "tensor/tensor.h"

namespace phynexus {

// Windows along one axis of an image. Sizes fit 31 bits, of which products are taken in 64.
struct Axis {
  int size;     // of the image
  int windows;  // how many there are
  int kernel;
  int stride;
  int before;  // padding
  int dilation;

  // Where an element of a window lies in the image; it may lie outside.
  GPU_DEVICE int place(int window, int tap) const {
    return window * stride - before + tap * dilation;
  }
  GPU_DEVICE bool is_inside(int place) const { return place >= 0 && place < size; }
};

// The attributes stride, padding ((top, bottom), (left, right)) and dilation, where the op has it,
// for the axes of rows and of columns.
struct Windows {
  Axis down;
  Axis across;
};

inline Windows windows_of(const Attributes& attributes, const int64_t* image,
                          const int64_t* windows, const int64_t* kernel, bool dilates) {
  const auto stride = attributes.integers("stride");
  const auto padding = attributes.integers("padding");
  const auto dilation = dilates ? attributes.integers("dilation") : std::vector<int64_t>{1, 1};
  auto axis = [&](int a) {
    return Axis{static_cast<int>(image[a]),       static_cast<int>(windows[a]),
                static_cast<int>(kernel[a]),      static_cast<int>(stride[a]),
                static_cast<int>(padding[2 * a]), static_cast<int>(dilation[a])};
  };
  return {axis(0), axis(1)};
}

}  // namespace phynexus
