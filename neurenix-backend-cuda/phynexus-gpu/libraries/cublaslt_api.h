// The functions and values of cuBLASLt that the engine uses, as cublasLt.h and cublas_api.h of
// cuBLAS 13.0 declare them. Those headers are compared with this file in the tests, and not needed
// where the engine is built. Structures that a program only points to are `void` here.
#pragma once

#include <cstddef>
#include <cstdint>

namespace phynexus::cublaslt {

enum Status : int { kSuccess = 0, kNotSupported = 15 };
enum DataType : int { kR32F = 0, kR64F = 1, kR16F = 2, kR16BF = 14 };
enum ComputeType : int { kCompute32F = 68, kCompute64F = 70, kCompute32FFastTf32 = 77 };
enum Operation : int32_t { kNone = 0, kTranspose = 1 };
enum Epilogue : uint32_t { kDefault = 1, kBias = 4 };
enum DescAttribute : int {
  kTransA = 3,
  kTransB = 4,
  kEpilogue = 7,
  kBiasPointer = 8,
  kBiasDataType = 26
};
enum LayoutAttribute : int { kBatchCount = 5, kStridedBatchOffset = 6 };
enum PreferenceAttribute : int {
  kMaxWorkspaceBytes = 1,
  kReductionSchemeMask = 3,
  kMinAlignmentABytes = 5,
  kMinAlignmentBBytes = 6,
  kMinAlignmentCBytes = 7,
  kMinAlignmentDBytes = 8
};
// Parts of a sum are kept in the workspace and added in order; the other schemes add in place.
enum ReductionScheme : uint32_t { kReductionComputeType = 2 };

struct Algorithm {
  uint64_t data[8];
};
struct Heuristic {
  Algorithm algorithm;
  size_t workspace_bytes;
  Status state;
  float waves;
  int reserved[4];
};

using Create = Status(void** handle);
using GetVersion = size_t();
using GetStatusString = const char*(Status);
using DescCreate = Status(void** desc, ComputeType compute, DataType scale);
using DescSet = Status(void* desc, DescAttribute attribute, const void* value, size_t size);
using LayoutCreate = Status(void** layout, DataType type, uint64_t rows, uint64_t columns,
                            int64_t leading);
using LayoutSet = Status(void* layout, LayoutAttribute attribute, const void* value, size_t size);
using PreferenceCreate = Status(void** preference);
using PreferenceSet = Status(void* preference, PreferenceAttribute attribute, const void* value,
                             size_t size);
using Destroy = Status(void* object);
using GetHeuristic = Status(void* handle, void* desc, void* a, void* b, void* c, void* d,
                            void* preference, int requested, Heuristic* results, int* found);
using Matmul = Status(void* handle, void* desc, const void* alpha, const void* a, void* a_layout,
                      const void* b, void* b_layout, const void* beta, const void* c,
                      void* c_layout, void* d, void* d_layout, const Algorithm* algorithm,
                      void* workspace, size_t workspace_bytes, void* stream);

}  // namespace phynexus::cublaslt
