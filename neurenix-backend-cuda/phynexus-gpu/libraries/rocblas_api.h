// The functions and values of rocBLAS that the engine uses, as rocblas-types.h and
// rocblas-functions.h of rocBLAS 2.44 (ROCm 5.2) declare them; later versions have kept them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace phynexus::rocblas {

enum Status : int { kSuccess = 0, kNotImplemented = 2 };
enum DataType : int { kF16 = 150, kF32 = 151, kF64 = 152, kBf16 = 168 };
enum Operation : int { kNone = 111, kTranspose = 112 };
enum Atomics : int { kAtomicsNotAllowed = 0 };
enum Algorithm : int { kStandard = 0 };

using CreateHandle = Status(void** handle);
using SetStream = Status(void* handle, void* stream);
using SetAtomics = Status(void* handle, Atomics mode);
using SetWorkspace = Status(void* handle, void* address, size_t size);
using GetVersion = Status(char* text, size_t size);
using StatusToString = const char*(Status);
using GemmStridedBatched = Status(void* handle, Operation a_operation, Operation b_operation,
                                  int32_t m, int32_t n, int32_t k, const void* alpha, const void* a,
                                  DataType a_type, int32_t a_leading, int64_t a_stride,
                                  const void* b, DataType b_type, int32_t b_leading,
                                  int64_t b_stride, const void* beta, const void* c,
                                  DataType c_type, int32_t c_leading, int64_t c_stride, void* d,
                                  DataType d_type, int32_t d_leading, int64_t d_stride,
                                  int32_t batches, DataType compute, Algorithm algorithm,
                                  int32_t solution, uint32_t flags);

}  // namespace phynexus::rocblas
