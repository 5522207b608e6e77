#include "libraries/products.h"

#include <algorithm>
#include <climits>

#include "libraries/cublaslt.h"
#include "libraries/rocblas.h"

namespace phynexus {

bool as_transposed_columns(const Operand& operand, int64_t rows, int64_t columns,
                           ColumnMajor& matrix) {
  // What is one long has no stride of its own.
  const bool rows_touch = columns == 1 || operand.column_stride == 1;
  const bool columns_touch = rows == 1 || operand.row_stride == 1;
  matrix.data = operand.data;
  if (rows_touch && (rows == 1 || operand.row_stride >= columns)) {
    matrix.transposed = false;
    matrix.leading = rows == 1 ? std::max<int64_t>(columns, 1) : operand.row_stride;
  } else if (columns_touch && (columns == 1 || operand.column_stride >= rows)) {
    matrix.transposed = true;
    matrix.leading = columns == 1 ? std::max<int64_t>(rows, 1) : operand.column_stride;
  } else {
    return false;
  }
  return matrix.leading <= INT_MAX;
}

namespace {

// One right matrix for all of the left ones, which lie row under row: that is one product.
Product merged(Product product) {
  const int64_t rows = product.rows * product.batches;
  if (product.batches > 1 && product.right.batch_stride == 0 &&
      product.left.batch_stride == product.rows * product.left.row_stride) {
    product.rows = rows;
    product.batches = 1;
  }
  return product;
}

}  // namespace

bool multiply_by_library(const Product& given, Device& device) {
  const Product product = merged(given);
  const auto most = std::max({product.batches, product.rows, product.columns, product.depth});
  const auto least = std::min({product.batches, product.rows, product.columns, product.depth});
  if (least <= 0 || most > INT_MAX) return false;  // a library counts in 32 bits
  return multiply_by_cublaslt(product, device) || multiply_by_rocblas(product, device);
}

}  // namespace phynexus
