// Random bits of Threefry-2x32 with 20 rounds: the same on every device.
//
// J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, "Parallel random numbers: as easy as 1, 2,
// 3", SC 2011.
#include "kernels/map.h"
#include "kernels/table.h"

namespace phynexus {

namespace {

struct Pair {
  uint32_t first;
  uint32_t second;
};

GPU_DEVICE Pair threefry(uint32_t key0, uint32_t key1, Pair counter) {
  const uint32_t keys[3] = {key0, key1, 0x1BD11BDAu ^ key0 ^ key1};
  const int distances[2][4] = {{13, 15, 26, 6}, {17, 29, 16, 24}};
  uint32_t a = counter.first + keys[0];
  uint32_t b = counter.second + keys[1];
  for (uint32_t group = 0; group < 5; ++group) {
    for (int turn = 0; turn < 4; ++turn) {
      const int distance = distances[group % 2][turn];
      a += b;
      b = (b << distance | b >> (32 - distance)) ^ a;
    }
    a += keys[(group + 1) % 3];
    b += keys[(group + 2) % 3] + group + 1;
  }
  return {a, b};
}

// Elements 2i and 2i + 1 are the block of the counter (i, draw), where the key is (key0, key1,
// draw).
GPU_KERNEL void random_bits_kernel(uint32_t* out, int64_t size, const uint32_t* key) {
  for (int64_t i = gpu_block_x() * gpu_threads() + gpu_thread(); i < (size + 1) / 2;
       i += gpu_blocks_x() * gpu_threads()) {
    const Pair made = threefry(key[0], key[1], {static_cast<uint32_t>(i), key[2]});
    out[2 * i] = made.first;
    if (2 * i + 1 < size) out[2 * i + 1] = made.second;
  }
}

void random_bits(const Call& call) {
  const int64_t size = call.out().size();
  if (size == 0) return;
  gpu_launch(&random_bits_kernel, {blocks_for((size + 1) / 2, kMapThreads)}, kMapThreads,
             call.stream(), call.out().as<uint32_t>(), size, call.in(0).as<const uint32_t>());
}

}  // namespace

std::vector<Op> random_ops() { return {{"random_bits", random_bits, set_of(Types<int32_t>())}}; }

}  // namespace phynexus
