// Products of matrices by a library of the vendor's, where one is open.
#pragma once

#include "runtime/device.h"
#include "tensor/dtype.h"

namespace phynexus {

// An operand: matrices that are equally far apart in memory. Strides count elements.
struct Operand {
  const void* data = nullptr;
  int64_t row_stride = 0;
  int64_t column_stride = 0;
  int64_t batch_stride = 0;  // 0: every product has the same
};

// out = left right + bias, in each batch. The output is dense; `bias`, if any, has a number for
// each column, of the same dtype, and is added before the sum is rounded.
struct Product {
  int64_t batches = 1;
  int64_t rows = 0;
  int64_t columns = 0;
  int64_t depth = 0;
  Operand left;   // (rows, depth)
  Operand right;  // (depth, columns)
  void* out = nullptr;
  const void* bias = nullptr;
  DType dtype = DType::kFloat32;
};

// Returns false where no library is open that takes such operands: then nothing has been done.
//
// Throws std::runtime_error where a library fails.
bool multiply_by_library(const Product& product, Device& device);

// A matrix as a BLAS takes it: column after column, `leading` elements from one to the next.
struct ColumnMajor {
  const void* data = nullptr;
  bool transposed = false;  // what is stored is the transpose
  int64_t leading = 0;
};

// The transpose of an operand of this many rows and columns, column-major: that is the very memory
// of a row-major matrix. Returns false where neither axis has neighbouring elements.
bool as_transposed_columns(const Operand& operand, int64_t rows, int64_t columns,
                           ColumnMajor& matrix);

}  // namespace phynexus
