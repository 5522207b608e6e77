// The emulator finds what it is there to find. Prints each fault that it has missed.
#include <cstdio>
#include <string>
#include <vector>

#include "tensor/walk.h"
#include "vendor/gpu.h"

namespace {

using phynexus::emulator::LaunchError;
using phynexus::emulator::Order;
using phynexus::emulator::settings;

int failures = 0;

void expect(bool holds, const std::string& what) {
  if (holds) return;
  std::printf("failed: %s (warps of %d)\n", what.c_str(), settings().warp_size);
  ++failures;
}

// Launches, waits, and returns what went wrong.
template <class... Parameters>
std::string launch(void (*kernel)(Parameters...), gpu_grid grid, int threads,
                   typename gpu_as_given<Parameters>::type... arguments) {
  try {
    auto thread = [&] { kernel(arguments...); };
    using Thread = decltype(thread);
    phynexus::emulator::run(
        {grid.x, grid.y, grid.z}, threads, [](void* code) { (*static_cast<Thread*>(code))(); },
        &thread);
  } catch (const LaunchError& error) {
    return error.what();
  }
  return "";
}

GPU_KERNEL void count_threads(int* seen) {
  seen[gpu_block_x() * gpu_threads() + gpu_thread()] += 1 + gpu_block_y();
}

// Reverses the elements of a block by shared memory, twice.
template <int kBarriers>
GPU_KERNEL void reverse_twice(int* values) {
  GPU_SHARED(int, tile, [128]);
  int* mine = values + gpu_block_x() * 128 + gpu_thread();
  for (int turn = 0; turn < 2; ++turn) {
    tile[127 - gpu_thread()] = *mine;
    if (kBarriers > 0) gpu_sync();
    *mine = tile[gpu_thread()];
    if (kBarriers > 1) gpu_sync();
  }
}

GPU_KERNEL void sum_of_warp(int* values) {
  int value = values[gpu_thread()];
  for (int mask = gpu_warp_size() / 2; mask > 0; mask /= 2) value += gpu_shfl_xor(value, mask);
  values[gpu_thread()] = value;
}

GPU_KERNEL void shift_down(int* values) {
  values[gpu_thread()] = gpu_shfl_down(values[gpu_thread()], 3);
}

// A warp that is ahead writes what another has not read yet.
template <bool kWaits>
GPU_KERNEL void maximum_of_warps(int* values) {
  GPU_SHARED(int, largest, [2]);
  const int lane = gpu_thread() % gpu_warp_size();
  const int half = gpu_thread() / 64;
  for (int turn = 0; turn < 3; ++turn) {
    const int mine = values[gpu_thread()] + gpu_shfl(turn, lane);
    if (kWaits) gpu_sync();
    if (gpu_thread() % 64 == 0) largest[half] = mine;
    gpu_sync();
    values[gpu_thread()] = largest[1 - half];
  }
}

GPU_KERNEL void half_waits() {
  if (gpu_thread() < 64) gpu_sync();
}

GPU_KERNEL void waits_apart() {
  if (gpu_thread() < 64) {
    gpu_sync();
  } else {
    gpu_sync();
  }
}

GPU_KERNEL void lane_stays_away(int* values) {
  if (gpu_thread() != 5) values[gpu_thread()] = gpu_shfl(values[gpu_thread()], 0);
}

GPU_KERNEL void writes_past_the_end() {
  GPU_SHARED(char, small, [64]);
  GPU_SHARED(char, other, [64]);
  other[gpu_thread() % 64] = small[gpu_thread() % 64] = 1;
  small[64] = 1;
}

GPU_KERNEL void asks_for_too_much() {
  GPU_SHARED(char, large, [50000]);
  large[gpu_thread()] = 1;
}

std::vector<int> numbers(int count) {
  std::vector<int> made(count);
  for (int i = 0; i < count; ++i) made[i] = i;
  return made;
}

// Whether the kernel leaves its numbers as they were, which it should.
template <int kBarriers>
bool reverses_twice() {
  std::vector<int> values = numbers(384);
  std::string error = launch(&reverse_twice<kBarriers>, {3}, 128, values.data());
  return error.empty() && values == numbers(384);
}

template <bool kWaits>
bool finds_maximum() {
  std::vector<int> values = numbers(128);
  std::string error = launch(&maximum_of_warps<kWaits>, {1}, 128, values.data());
  bool right = error.empty();
  for (int i = 0; i < 128; ++i) right &= values[i] == (i < 64 ? 64 : 0) + 3;
  return right;
}

void test_every_thread_runs_once() {
  std::vector<int> seen(3 * 192);
  std::string error = launch(&count_threads, {3, 2}, 192, seen.data());
  expect(error.empty() && seen == std::vector<int>(3 * 192, 3), "every thread runs once");
}

void test_warps() {
  const int warp = settings().warp_size;
  std::vector<int> values = numbers(128);
  expect(launch(&sum_of_warp, {1}, 128, values.data()).empty(), "a warp exchanges");
  for (int i = 0; i < 128; ++i) {
    int first = i / warp * warp;
    expect(values[i] == warp * first + warp * (warp - 1) / 2, "the sum of a warp");
  }
  values = numbers(128);
  launch(&shift_down, {1}, 128, values.data());
  for (int i = 0; i < 128; ++i) {
    expect(values[i] == (i % warp + 3 < warp ? i + 3 : i), "a shift within the warp");
  }
}

void test_what_never_ends_is_named() {
  std::vector<int> values = numbers(128);
  expect(launch(&half_waits, {1}, 128).find("waits for others at emulator_test.cpp:") !=
             std::string::npos,
         "half of a block waits");
  expect(launch(&waits_apart, {1}, 128).find("and at emulator_test.cpp:") != std::string::npos,
         "a block waits in two places");
  expect(launch(&lane_stays_away, {1}, 128, values.data()).find("do not come") != std::string::npos,
         "a lane stays away");
  expect(launch(&writes_past_the_end, {1}, 128) == "it writes past the end of shared memory",
         "a write past the end of shared memory");
  expect(launch(&asks_for_too_much, {1}, 128) == "a block has 48 KiB of shared memory",
         "too much shared memory");
  expect(!launch(&half_waits, {1}, 96).empty(), "a block of 96 threads");
}

// An emulation that finds no missing barrier would make every test of kernels worthless.
void test_missing_barriers_are_found() {
  bool without_first = true;
  bool without_second = true;
  bool one_ahead = true;
  for (const char* order : {"forward", "reverse", "7"}) {
    phynexus::emulator::set_order(settings(), order);
    expect(reverses_twice<2>(), std::string("two barriers are right: ") + order);
    expect(finds_maximum<true>(), std::string("a wait after reading is right: ") + order);
    one_ahead &= finds_maximum<false>();
    without_first &= reverses_twice<0>();
    without_second &= reverses_twice<1>();
  }
  expect(!without_first, "a kernel without barriers is found");
  expect(!one_ahead, "a warp that is ahead of another is found");
  expect(!without_second, "a kernel without its second barrier is found");
}

// More elements than 32 bits can number, in a broadcast tensor and in a dense one, transposed.
void test_walks_of_many_elements() {
  phynexus::Walk<2> walk;
  const int64_t rows = 70001;
  const int64_t columns = 65537;
  walk.add(rows, {columns, 1});
  walk.add(columns, {1, rows});
  for (int64_t i :
       {int64_t{5}, (int64_t{1} << 31) + 7, (int64_t{1} << 32) + 9, rows * columns - 1}) {
    int64_t places[2];
    walk.find(i, places);
    expect(places[0] == i, "the place of a dense element");
    expect(places[1] == i / columns + i % columns * rows, "the place of a transposed element");
  }
}

}  // namespace

int main() {
  test_walks_of_many_elements();
  for (int warp : {32, 64}) {
    settings().warp_size = warp;
    for (const char* order : {"forward", "reverse", "3"}) {
      phynexus::emulator::set_order(settings(), order);
      test_every_thread_runs_once();
      test_warps();
      test_what_never_ends_is_named();
    }
    test_missing_barriers_are_found();
  }
  if (failures == 0) std::printf("the emulator finds what it should\n");
  return failures == 0 ? 0 : 1;
}
