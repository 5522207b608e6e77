// Reading where an index says.
#include "kernels/index.h"
#include "kernels/map.h"
#include "kernels/table.h"

namespace phynexus {

namespace {

template <class T>
GPU_KERNEL void gather_kernel(Walk<3> walk, Index index, int64_t step, T* out, const T* x) {
  for (int64_t i = gpu_block_x() * gpu_threads() + gpu_thread(); i < walk.count;
       i += gpu_blocks_x() * gpu_threads()) {
    int64_t places[3];
    walk.find(i, places);
    const int64_t found = index.at(places[1]);
    out[places[0]] = found < 0 ? T(0) : x[places[2] + found * step];
  }
}

void gather(const Call& call) {
  const Tensor& out = call.out();
  const Tensor& x = call.in(0);
  const Tensor& index = call.in(1);
  const int64_t axis = call.attributes.integer("axis");
  Walk<3> walk;
  for (int a = 0; a < out.rank; ++a) {
    walk.add(out.shape[a], {out.strides[a], index.strides[a], a == axis ? 0 : x.strides[a]});
  }
  if (walk.count == 0) return;
  visit_words(out.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    gpu_launch(&gather_kernel<T>, {blocks_for(walk.count, kMapThreads)}, kMapThreads, call.stream(),
               walk, index_of(call, index, x.shape[axis]), x.strides[axis], out.as<T>(),
               x.as<const T>());
  });
}

// Rows of a dense table, by their numbers.
template <class T>
GPU_KERNEL void take_kernel(int64_t size, int64_t width, Index index, T* out, const T* x) {
  for (int64_t i = gpu_block_x() * gpu_threads() + gpu_thread(); i < size;
       i += gpu_blocks_x() * gpu_threads()) {
    const int64_t place = i / width;
    const int64_t row = index.at(place);
    out[i] = row < 0 ? T(0) : x[row * width + (i - place * width)];
  }
}

void take(const Call& call) {
  const Tensor& out = call.out();
  const Tensor& x = call.in(0);
  const int64_t size = out.size();
  if (size == 0) return;
  visit_words(out.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    gpu_launch(&take_kernel<T>, {blocks_for(size, kMapThreads)}, kMapThreads, call.stream(), size,
               x.size(1, x.rank), index_of(call, call.in(1), x.shape[0]), out.as<T>(),
               x.as<const T>());
  });
}

}  // namespace

std::vector<Op> indexing_ops() {
  return {
      {"gather", gather, set_of(Every()), true},
      {"take", take, set_of(Every())},
  };
}

}  // namespace phynexus
