// Exchanges of values of any size, on a GPU: word by word.
#pragma once

template <class T>
GPU_DEVICE T gpu_shfl(T value, int lane) {
  constexpr int kWords = (sizeof(T) + sizeof(unsigned) - 1) / sizeof(unsigned);
  unsigned words[kWords] = {};
  memcpy(words, &value, sizeof(T));
#pragma unroll
  for (int i = 0; i < kWords; ++i) words[i] = gpu_shfl_word(words[i], lane);
  memcpy(&value, words, sizeof(T));
  return value;
}

// The value of the lane that is `by` further; the last lanes keep their own.
template <class T>
GPU_DEVICE T gpu_shfl_down(T value, int by) {
  const int lane = gpu_thread() % gpu_warp_size();
  return gpu_shfl(value, lane + by < gpu_warp_size() ? lane + by : lane);
}

template <class T>
GPU_DEVICE T gpu_shfl_xor(T value, int mask) {
  return gpu_shfl(value, gpu_thread() % gpu_warp_size() ^ mask);
}
