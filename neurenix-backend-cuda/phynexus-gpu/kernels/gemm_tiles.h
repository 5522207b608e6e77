// How a matrix product is cut into tiles, one a block.
#pragma once

#include "vendor/gpu.h"

namespace phynexus {

constexpr int kGemmThreads = 256;
constexpr int kGemmTile = 64;  // rows and columns of a block

struct GemmShape {
  int64_t batches;
  int64_t rows;
  int64_t columns;
  int64_t depth;
  int64_t splits = 1;  // parts of the depth, summed afterwards
  int64_t part = 0;

  GPU_HOST_DEVICE int64_t tiles_down() const { return (rows + kGemmTile - 1) / kGemmTile; }
  GPU_HOST_DEVICE int64_t tiles_across() const { return (columns + kGemmTile - 1) / kGemmTile; }
};

// What a block computes.
struct GemmBlock {
  int64_t batch;
  int64_t number;  // of the part of the batch
  int64_t row;
  int64_t column;
  int64_t begin;  // of its part of the depth
  int64_t end;
};

GPU_DEVICE GemmBlock block_of(const GemmShape& shape, int64_t block) {
  GemmBlock its;
  its.column = block % shape.tiles_across() * kGemmTile;
  block /= shape.tiles_across();
  its.row = block % shape.tiles_down() * kGemmTile;
  its.number = block / shape.tiles_down();
  its.batch = its.number / shape.splits;
  its.begin = its.number % shape.splits * shape.part;
  its.end = its.begin + shape.part < shape.depth ? its.begin + shape.part : shape.depth;
  return its;
}

}  // namespace phynexus
