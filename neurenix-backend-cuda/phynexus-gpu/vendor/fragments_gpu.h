// Fragments on a GPU.
#pragma once

#if defined(PHYNEXUS_HIP) && !defined(__gfx90a__)

// No such instruction: every lane computes its sums from the tiles.
template <class T>
struct gpu_fragments {
  struct Left {
    const T* tile;
    int stride;
  };
  struct Right {
    const T* tile;
    int stride;
  };
  struct Sums {
    float values[8] = {};
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

#else

#if defined(PHYNEXUS_HIP)
using gpu_layout = gpu_layout_16x16x16;
using gpu_four_shorts = __attribute__((ext_vector_type(4))) short;
using gpu_four_halves = __attribute__((ext_vector_type(4))) _Float16;
using gpu_four_floats = __attribute__((ext_vector_type(4))) float;

template <class To, class From>
GPU_DEVICE To gpu_four(const From (&values)[4]) {
  To packed;
  memcpy(&packed, values, sizeof(To));
  return packed;
}
GPU_DEVICE void gpu_multiply(float (&sums)[4], const gpu_bf16 (&left)[4],
                             const gpu_bf16 (&right)[4]) {
  const gpu_four_floats sum = __builtin_amdgcn_mfma_f32_16x16x16bf16_1k(
      gpu_four<gpu_four_shorts>(left), gpu_four<gpu_four_shorts>(right),
      gpu_four<gpu_four_floats>(sums), 0, 0, 0);
  memcpy(sums, &sum, sizeof(sums));
}
GPU_DEVICE void gpu_multiply(float (&sums)[4], const gpu_f16 (&left)[4],
                             const gpu_f16 (&right)[4]) {
  const gpu_four_floats sum = __builtin_amdgcn_mfma_f32_16x16x16f16(
      gpu_four<gpu_four_halves>(left), gpu_four<gpu_four_halves>(right),
      gpu_four<gpu_four_floats>(sums), 0, 0, 0);
  memcpy(sums, &sum, sizeof(sums));
}
#else
using gpu_layout = gpu_layout_m16n8k16;

#define GPU_MMA(type)                                                                 \
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32." type "." type                 \
               ".f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};" \
               : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])           \
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]))

GPU_DEVICE void gpu_multiply(float (&sums)[4], const gpu_bf16 (&left)[8],
                             const gpu_bf16 (&right)[4]) {
  unsigned a[4];
  unsigned b[2];
  memcpy(a, left, sizeof(a));
  memcpy(b, right, sizeof(b));
  GPU_MMA("bf16");
}
GPU_DEVICE void gpu_multiply(float (&sums)[4], const gpu_f16 (&left)[8],
                             const gpu_f16 (&right)[4]) {
  unsigned a[4];
  unsigned b[2];
  memcpy(a, left, sizeof(a));
  memcpy(b, right, sizeof(b));
  GPU_MMA("f16");
}
#undef GPU_MMA
#endif

template <class T>
struct gpu_fragments {
  using Layout = gpu_layout;
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
#pragma unroll
    for (int i = 0; i < Layout::kLeft; ++i) {
      left.values[i] = tile[Layout::left_row(lane, i) * stride + Layout::left_depth(lane, i)];
    }
  }
  GPU_DEVICE static void load(Right& right, const T* tile, int stride) {
    const int lane = gpu_thread() % gpu_warp_size();
#pragma unroll
    for (int i = 0; i < Layout::kRight; ++i) {
      right.values[i] = tile[Layout::right_column(lane, i) * stride + Layout::right_depth(lane, i)];
    }
  }
  GPU_DEVICE static void multiply(Sums& sums, const Left& left, const Right& right) {
    gpu_multiply(sums.values, left.values, right.values);
  }
  template <class Function>
  GPU_DEVICE static void for_each(Sums& sums, const Function& function) {
    const int lane = gpu_thread() % gpu_warp_size();
#pragma unroll
    for (int i = 0; i < Layout::kSums; ++i) {
      function(Layout::sum_row(lane, i), Layout::sum_column(lane, i), sums.values[i]);
    }
  }
};

#endif
