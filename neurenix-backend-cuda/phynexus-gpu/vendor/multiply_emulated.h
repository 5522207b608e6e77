// The instructions that multiply matrices, in the emulator: they read the registers of all lanes.
// The number of elements that a lane holds of the left matrix tells which of them it is.
#pragma once

// Which lane has an element, and in which register: the instructions' definitions, from the
// element's side. That they agree with the layouts, which go from the lane's side, is what is
// tested.
struct gpu_register {
  int lane;
  int number;
};

struct gpu_registers_m16n8k16 {
  static constexpr int kLanes = 32;
  static constexpr int kColumns = 8;
  static gpu_register left(int row, int depth) {
    return {row % 8 * 4 + depth % 8 / 2, depth % 2 + 2 * (row / 8) + 4 * (depth / 8)};
  }
  static gpu_register right(int column, int depth) {
    return {column * 4 + depth % 8 / 2, depth % 2 + 2 * (depth / 8)};
  }
  static gpu_register sum(int row, int column) {
    return {row % 8 * 4 + column / 2, column % 2 + 2 * (row / 8)};
  }
};

struct gpu_registers_16x16x16 {
  static constexpr int kLanes = 64;
  static constexpr int kColumns = 16;
  static gpu_register left(int row, int depth) { return {row + 16 * (depth / 4), depth % 4}; }
  static gpu_register right(int column, int depth) {
    return {column + 16 * (depth / 4), depth % 4};
  }
  static gpu_register sum(int row, int column) { return {column + 16 * (row / 4), row % 4}; }
};

template <class T, int kLeft>
void gpu_multiply(float (&sums)[4], const T (&left)[kLeft], const T (&right)[4],
                  const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  using Registers = std::conditional_t<kLeft == 8, gpu_registers_m16n8k16, gpu_registers_16x16x16>;
  // Those of a lane, which stands still until all have read them.
  struct Held {
    const T* left;
    const T* right;
  };
  const Held mine{left, right};
  Held lanes[Registers::kLanes];
  phynexus::emulator::exchange_all(&mine, sizeof(mine), lanes, {file, line});
  const int lane = gpu_thread() % Registers::kLanes;
  for (int row = 0; row < 16; ++row) {
    for (int column = 0; column < Registers::kColumns; ++column) {
      const gpu_register target = Registers::sum(row, column);
      if (target.lane != lane) continue;
      for (int k = 0; k < 16; ++k) {
        const gpu_register a = Registers::left(row, k);
        const gpu_register b = Registers::right(column, k);
        sums[target.number] += static_cast<float>(lanes[a.lane].left[a.number]) *
                               static_cast<float>(lanes[b.lane].right[b.number]);
      }
    }
  }
  phynexus::emulator::exchange_all(&mine, sizeof(mine), lanes, {file, line});
}
