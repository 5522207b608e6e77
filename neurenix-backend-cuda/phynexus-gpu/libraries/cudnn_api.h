// The functions and values of cuDNN that the engine uses, as cudnn_graph.h, cudnn_ops.h and
// cudnn_cnn.h of cuDNN 9 declare them. Those headers are compared with this file in the tests, and
// not needed where the engine is built. Structures that a program only points to are `void` here.
#pragma once

#include <cstddef>
#include <cstdint>

namespace phynexus::cudnn {

enum Status : int { kSuccess = 0, kNotSupported = 3000, kNotSupportedEnd = 4000 };
enum DataType : int { kFloat = 0, kDouble = 1, kHalf = 2, kBfloat16 = 9 };
enum Format : int { kNchw = 0 };
enum Mode : int { kCrossCorrelation = 1 };
enum Determinism : int { kDeterministic = 1 };
enum Math : int { kDefaultMath = 0, kTensorOpMath = 1, kFmaMath = 3 };

// Of any of the three directions.
struct Performance {
  int algorithm;
  Status status;
  float time_ms;
  size_t memory_bytes;
  Determinism determinism;
  Math math;
  int reserved[3];
};

using Create = Status(void** object);
using Destroy = Status(void* object);
using SetStream = Status(void* handle, void* stream);
using GetVersion = size_t();
using GetErrorString = const char*(Status);
using SetTensor4d = Status(void* desc, Format format, DataType type, int n, int c, int h, int w);
using SetFilter4d = Status(void* desc, DataType type, Format format, int k, int c, int h, int w);
using SetConvolution2d = Status(void* desc, int pad_h, int pad_w, int stride_h, int stride_w,
                                int dilation_h, int dilation_w, Mode mode, DataType compute);
using SetGroups = Status(void* desc, int groups);
using SetMath = Status(void* desc, Math math);
// For the results: images, weights, convolution, results; for the gradients as in the calls below.
using GetAlgorithm = Status(void* handle, void* first, void* second, void* convolution, void* out,
                            int requested, int* found, Performance* ranked);
using Forward = Status(void* handle, const void* alpha, void* x_desc, const void* x, void* w_desc,
                       const void* w, void* convolution, int algorithm, void* workspace,
                       size_t workspace_bytes, const void* beta, void* y_desc, void* y);
using BackwardData = Status(void* handle, const void* alpha, void* w_desc, const void* w,
                            void* dy_desc, const void* dy, void* convolution, int algorithm,
                            void* workspace, size_t workspace_bytes, const void* beta,
                            void* dx_desc, void* dx);
using BackwardFilter = Status(void* handle, const void* alpha, void* x_desc, const void* x,
                              void* dy_desc, const void* dy, void* convolution, int algorithm,
                              void* workspace, size_t workspace_bytes, const void* beta,
                              void* dw_desc, void* dw);

}  // namespace phynexus::cudnn
