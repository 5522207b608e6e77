// Fragments in the emulator: a warp of 32 has the layout of NVIDIA, one of 64 that of CDNA. Lanes
// hold what they would hold on the GPU, and the instruction reads the registers of all lanes.
#pragma once

// Which lane has an element, and in which register: the instructions' definitions, from the
// element's side. That they agree with the layouts, which go from the lane's side, is what is
// tested.
struct gpu_register {
  int lane;
  int number;
};
inline gpu_register gpu_left_register(int row, int depth) {
  if (gpu_warp_size() == 64) return {row + 16 * (depth / 4), depth % 4};
  return {row % 8 * 4 + depth % 8 / 2, depth % 2 + 2 * (row / 8) + 4 * (depth / 8)};
}
inline gpu_register gpu_right_register(int column, int depth) {
  if (gpu_warp_size() == 64) return {column + 16 * (depth / 4), depth % 4};
  return {column * 4 + depth % 8 / 2, depth % 2 + 2 * (depth / 8)};
}
inline gpu_register gpu_sum_register(int row, int column) {
  if (gpu_warp_size() == 64) return {column + 16 * (row / 4), row % 4};
  return {row % 8 * 4 + column / 2, column % 2 + 2 * (row / 8)};
}

template <class T>
struct gpu_fragments {
  struct Left {
    T values[8];
  };
  struct Right {
    T values[4];
  };
  struct Sums {
    float values[4] = {};
  };

  static int rows() { return 16; }
  static int columns() { return gpu_warp_size() == 32 ? 8 : 16; }
  static int depth() { return 16; }

  static void load(Left& left, const T* tile, int stride) {
    with_layout([&](auto layout) {
      const int lane = gpu_thread() % gpu_warp_size();
      for (int i = 0; i < layout.kLeft; ++i) {
        left.values[i] = tile[layout.left_row(lane, i) * stride + layout.left_depth(lane, i)];
      }
    });
  }
  static void load(Right& right, const T* tile, int stride) {
    with_layout([&](auto layout) {
      const int lane = gpu_thread() % gpu_warp_size();
      for (int i = 0; i < layout.kRight; ++i) {
        right.values[i] = tile[layout.right_column(lane, i) * stride + layout.right_depth(lane, i)];
      }
    });
  }
  static void multiply(Sums& sums, const Left& left, const Right& right,
                       const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    // The registers of a lane, which stands still until all have read them.
    struct Registers {
      const Left* left;
      const Right* right;
    };
    const Registers mine{&left, &right};
    Registers lanes[64];
    phynexus::emulator::exchange_all(&mine, sizeof(mine), lanes, {file, line});
    for (int row = 0; row < rows(); ++row) {
      for (int column = 0; column < columns(); ++column) {
        const gpu_register target = gpu_sum_register(row, column);
        if (target.lane != gpu_thread() % gpu_warp_size()) continue;
        for (int k = 0; k < depth(); ++k) {
          const gpu_register a = gpu_left_register(row, k);
          const gpu_register b = gpu_right_register(column, k);
          sums.values[target.number] += static_cast<float>(lanes[a.lane].left->values[a.number]) *
                                        static_cast<float>(lanes[b.lane].right->values[b.number]);
        }
      }
    }
    phynexus::emulator::exchange_all(&mine, sizeof(mine), lanes, {file, line});
  }
  template <class Function>
  static void for_each(Sums& sums, const Function& function) {
    with_layout([&](auto layout) {
      const int lane = gpu_thread() % gpu_warp_size();
      for (int i = 0; i < layout.kSums; ++i) {
        function(layout.sum_row(lane, i), layout.sum_column(lane, i), sums.values[i]);
      }
    });
  }

 private:
  template <class Function>
  static void with_layout(const Function& function) {
    if (gpu_warp_size() == 32) {
      function(gpu_layout_m16n8k16());
    } else {
      function(gpu_layout_16x16x16());
    }
  }
};
