// A function of single elements, applied to all elements of tensors that broadcast.
#pragma once

#include <utility>

#include "tensor/walk.h"

namespace phynexus {

constexpr int kMapThreads = 256;
constexpr int kMapItems = 4;  // elements a thread, so that their loads are under way together

template <class Function, class Out, class... In>
struct Mapped {
  Function function;
  Out* out;

  // All are read before any is written: the output may be the memory of an input.
  template <size_t... I>
  GPU_DEVICE void run(const Walk<1 + sizeof...(In)>& walk, int64_t first, std::index_sequence<I...>,
                      const In*... in) const {
    constexpr int kOperands = 1 + sizeof...(In);
    Out results[kMapItems];
    int64_t targets[kMapItems];
    for (int item = 0; item < kMapItems; ++item) {
      const int64_t i = first + item * kMapThreads;
      if (i >= walk.count) break;
      int64_t places[kOperands];
      walk.find(i, places);
      targets[item] = places[0];
      results[item] = function(in[places[I + 1]]...);
    }
    for (int item = 0; item < kMapItems; ++item) {
      if (first + item * kMapThreads < walk.count) out[targets[item]] = results[item];
    }
  }
};

template <class Function, class Out, class... In>
GPU_KERNEL void map_kernel(Walk<1 + sizeof...(In)> walk, Mapped<Function, Out, In...> mapped,
                           const In*... in) {
  const int64_t step = gpu_blocks_x() * kMapThreads * kMapItems;
  int64_t first = gpu_block_x() * kMapThreads * kMapItems + gpu_thread();
  for (; first < walk.count; first += step) {
    mapped.run(walk, first, std::index_sequence_for<In...>(), in...);
  }
}

// out = function(in...), elementwise.
template <class Function, class Out, class... In>
void map(gpu_stream stream, const Walk<1 + sizeof...(In)>& walk, Function function, Out* out,
         const In*... in) {
  if (walk.count == 0) return;
  const int64_t blocks = blocks_for(walk.count, kMapThreads * kMapItems);
  Mapped<Function, Out, In...> mapped{function, out};
  gpu_launch(&map_kernel<Function, Out, In...>, {blocks}, kMapThreads, stream, walk, mapped, in...);
}

}  // namespace phynexus
