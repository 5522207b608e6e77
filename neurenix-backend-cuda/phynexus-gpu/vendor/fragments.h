// Products of small matrices of 16-bit floats, made by a whole warp: the tensor cores of NVIDIA,
// the matrix cores of CDNA, and plain arithmetic where there are neither.
//
//   gpu_fragments<T>             T is gpu_f16 or gpu_bf16; sums are float
//     rows(), columns(), depth()     the sizes of a product
//     Left, Right, Sums              what a lane holds of the three matrices
//     load(left, tile, stride)       takes rows of the left matrix from shared memory: `stride`
//                                    elements apart, those along the depth side by side
//     load(right, tile, stride)      takes columns of the right matrix, laid out alike
//     multiply(sums, left, right)    adds the product; all lanes of the warp take part
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
#include "vendor/multiply_emulated.h"
#else
#include "vendor/multiply_gpu.h"
#endif

// By an instruction: a lane holds what the layout says.
template <class T, class Layout>
struct gpu_matrix_fragments {
  struct Left {
    T values[Layout::kLeft];
  };
  struct Right {
    T values[Layout::kRight];
  };
  struct Sums {
    float values[Layout::kSums] = {};
  };

  GPU_DEVICE static constexpr int rows() { return 16; }
  GPU_DEVICE static constexpr int columns() { return Layout::kColumns; }
  GPU_DEVICE static constexpr int depth() { return 16; }

  GPU_DEVICE static void load(Left& left, const T* tile, int stride) {
    const int lane = gpu_thread() % gpu_warp_size();
    GPU_UNROLLED for (int i = 0; i < Layout::kLeft; ++i) {
      left.values[i] = tile[Layout::left_row(lane, i) * stride + Layout::left_depth(lane, i)];
    }
  }
  GPU_DEVICE static void load(Right& right, const T* tile, int stride) {
    const int lane = gpu_thread() % gpu_warp_size();
    GPU_UNROLLED for (int i = 0; i < Layout::kRight; ++i) {
      right.values[i] = tile[Layout::right_column(lane, i) * stride + Layout::right_depth(lane, i)];
    }
  }
  GPU_DEVICE static void multiply(Sums& sums, const Left& left, const Right& right) {
    gpu_multiply(sums.values, left.values, right.values);
  }
  template <class Function>
  GPU_DEVICE static void for_each(Sums& sums, const Function& function) {
    const int lane = gpu_thread() % gpu_warp_size();
    GPU_UNROLLED for (int i = 0; i < Layout::kSums; ++i) {
      function(Layout::sum_row(lane, i), Layout::sum_column(lane, i), sums.values[i]);
    }
  }
};

// Without such an instruction every lane computes its sums from the tiles.
template <class T>
struct gpu_plain_fragments {
  struct Left {
    const T* tile;
    int stride;
  };
  struct Right {
    const T* tile;
    int stride;
  };
  struct Sums {
    float values[4] = {};
  };

  GPU_DEVICE static constexpr int rows() { return 16; }
  GPU_DEVICE static constexpr int columns() { return 256 / gpu_warp_size(); }
  GPU_DEVICE static constexpr int depth() { return 16; }

  GPU_DEVICE static void load(Left& left, const T* tile, int stride) { left = {tile, stride}; }
  GPU_DEVICE static void load(Right& right, const T* tile, int stride) { right = {tile, stride}; }
  GPU_DEVICE static void multiply(Sums& sums, const Left& left, const Right& right) {
    for_each(sums, [&](int row, int column, float& sum) {
      for (int k = 0; k < depth(); ++k) {
        sum += static_cast<float>(left.tile[row * left.stride + k]) *
               static_cast<float>(right.tile[column * right.stride + k]);
      }
    });
  }
  template <class Function>
  GPU_DEVICE static void for_each(Sums& sums, const Function& function) {
    const int lane = gpu_thread() % gpu_warp_size();
    for (int i = 0; i < rows() * columns() / gpu_warp_size(); ++i) {
      const int place = i * gpu_warp_size() + lane;
      function(place / columns(), place % columns(), sums.values[i]);
    }
  }
};

#if !defined(PHYNEXUS_HIP)
template <class T>
using gpu_fragments = gpu_matrix_fragments<T, gpu_layout_m16n8k16>;
#elif defined(PHYNEXUS_EMULATED)
// Both kinds of AMD's, as the size of a warp says.
template <class T>
struct gpu_fragments {
  using Matrix = gpu_matrix_fragments<T, gpu_layout_16x16x16>;
  using Plain = gpu_plain_fragments<T>;
  struct Left {
    typename Matrix::Left matrix;
    typename Plain::Left plain;
  };
  struct Right {
    typename Matrix::Right matrix;
    typename Plain::Right plain;
  };
  struct Sums {
    typename Matrix::Sums matrix;
    typename Plain::Sums plain;
  };

  static bool is_plain() { return gpu_warp_size() == 32; }
  static int rows() { return is_plain() ? Plain::rows() : Matrix::rows(); }
  static int columns() { return is_plain() ? Plain::columns() : Matrix::columns(); }
  static int depth() { return is_plain() ? Plain::depth() : Matrix::depth(); }

  template <class Side>
  static void load(Side& side, const T* tile, int stride) {
    if (is_plain()) return Plain::load(side.plain, tile, stride);
    Matrix::load(side.matrix, tile, stride);
  }
  static void multiply(Sums& sums, const Left& left, const Right& right) {
    if (is_plain()) return Plain::multiply(sums.plain, left.plain, right.plain);
    Matrix::multiply(sums.matrix, left.matrix, right.matrix);
  }
  template <class Function>
  static void for_each(Sums& sums, const Function& function) {
    if (is_plain()) return Plain::for_each(sums.plain, function);
    Matrix::for_each(sums.matrix, function);
  }
};
#elif defined(__gfx90a__)
template <class T>
using gpu_fragments = gpu_matrix_fragments<T, gpu_layout_16x16x16>;
#else
template <class T>
using gpu_fragments = gpu_plain_fragments<T>;
#endif
