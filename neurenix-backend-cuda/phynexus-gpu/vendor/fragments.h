// Products of small matrices of 16-bit floats, made by a whole warp: the tensor cores of NVIDIA,
// the matrix cores of CDNA, and plain arithmetic where there are neither.
//
//   gpu_fragments<T>             T is gpu_f16 or gpu_bf16; sums are float
//     rows(), columns(), depth()     the sizes of a product
//     Left, Right, Sums              what a lane holds of the three matrices
//     load(left, tile, stride)       takes rows of the left matrix, or columns of the right one,
//     from load(right, tile, stride)      shared memory: `stride` elements apart, the depth side by
//     side multiply(sums, left, right)    adds the product; all lanes of the warp take part
//     for_each(sums, function)       calls function(row, column, sum) for what this lane holds
//
// A tile must not be written between a load and the product.
#pragma once

#include "vendor/gpu.h"

// Where the instruction mma.m16n8k16 of NVIDIA has the elements that a lane of 32 holds.
// Reference: NVIDIA, "PTX ISA", section "Matrix fragments for mma.m16n8k16 with floating point
// type".
struct gpu_layout_m16n8k16 {
  static constexpr int kColumns = 8;
  static constexpr int kLeft = 8;  // elements a lane
  static constexpr int kRight = 4;
  static constexpr int kSums = 4;
  GPU_DEVICE static int left_row(int lane, int i) { return lane / 4 + i / 2 % 2 * 8; }
  GPU_DEVICE static int left_depth(int lane, int i) { return lane % 4 * 2 + i % 2 + i / 4 * 8; }
  GPU_DEVICE static int right_column(int lane, int) { return lane / 4; }
  GPU_DEVICE static int right_depth(int lane, int i) { return lane % 4 * 2 + i % 2 + i / 2 * 8; }
  GPU_DEVICE static int sum_row(int lane, int i) { return lane / 4 + i / 2 * 8; }
  GPU_DEVICE static int sum_column(int lane, int i) { return lane % 4 * 2 + i % 2; }
};

// Where v_mfma_f32_16x16x16 of CDNA has the elements that a lane of 64 holds.
// Reference: AMD, "Instruct MI200 instruction set architecture", section "Matrix arithmetic".
struct gpu_layout_16x16x16 {
  static constexpr int kColumns = 16;
  static constexpr int kLeft = 4;
  static constexpr int kRight = 4;
  static constexpr int kSums = 4;
  GPU_DEVICE static int left_row(int lane, int) { return lane % 16; }
  GPU_DEVICE static int left_depth(int lane, int i) { return lane / 16 * 4 + i; }
  GPU_DEVICE static int right_column(int lane, int) { return lane % 16; }
  GPU_DEVICE static int right_depth(int lane, int i) { return lane / 16 * 4 + i; }
  GPU_DEVICE static int sum_row(int lane, int i) { return lane / 16 * 4 + i; }
  GPU_DEVICE static int sum_column(int lane, int) { return lane % 16; }
};

#if defined(PHYNEXUS_EMULATED)
#include "vendor/fragments_emulated.h"
#else
#include "vendor/fragments_gpu.h"
#endif
