// Pooling: a thread an element of the result. Gradients are pulled by the elements of the image
// from the windows that they are in, so that no two threads write to one place.
#include "kernels/table.h"
#include "kernels/windows.h"
#include "tensor/walk.h"

namespace phynexus {

namespace {

constexpr int kPoolThreads = 256;

// Where element i of images (N C, H, W) is.
struct Pixel {
  int64_t plane;
  int row;
  int column;
};

GPU_DEVICE Pixel pixel(int64_t i, int height, int width) {
  const int64_t above = i / width;
  return {above / height, static_cast<int>(above % height), static_cast<int>(i - above * width)};
}

template <class T>
GPU_KERNEL void max_pool_kernel(int64_t size, Windows windows, T* values, int64_t* indices,
                                const T* x) {
  using W = Wide<T>;
  const Axis down = windows.down;
  const Axis across = windows.across;
  for (int64_t i = gpu_block_x() * gpu_threads() + gpu_thread(); i < size;
       i += gpu_blocks_x() * gpu_threads()) {
    const Pixel at = pixel(i, down.windows, across.windows);
    const T* image = x + at.plane * down.size * across.size;
    W best = 0;
    int64_t where = -1;
    for (int ky = 0; ky < down.kernel; ++ky) {
      const int y = down.place(at.row, ky);
      if (!down.is_inside(y)) continue;
      for (int kx = 0; kx < across.kernel; ++kx) {
        const int column = across.place(at.column, kx);
        if (!across.is_inside(column)) continue;
        const int64_t place = static_cast<int64_t>(y) * across.size + column;
        const W value = static_cast<W>(image[place]);
        // A NaN wins, the first of them, and nothing wins over it.
        if (where < 0 || value > best || (value != value && best == best)) {
          best = value;
          where = place;
        }
      }
    }
    values[i] = convert<T>(best);
    if (indices != nullptr) indices[i] = where;
  }
}

void max_pool(const Call& call) {
  const Tensor& out = call.out(0);
  const Tensor& x = call.in(0);
  const int64_t size = out.size();
  if (size == 0) return;
  const auto kernel = call.attributes.integers("kernel_size");
  const Windows windows =
      windows_of(call.attributes, x.shape + 2, out.shape + 2, kernel.data(), true);
  int64_t* indices = call.outputs.size() > 1 ? call.out(1).as<int64_t>() : nullptr;
  visit(Every(), x.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    gpu_launch(&max_pool_kernel<T>, {blocks_for(size, kPoolThreads)}, kPoolThreads, call.stream(),
               size, windows, out.as<T>(), indices, x.as<const T>());
  });
}

// How many elements of a window count: all, or those that are no padding.
GPU_DEVICE int counted(const Axis& axis, int window, bool with_padding) {
  const int begin = window * axis.stride - axis.before;
  const int end = begin + axis.kernel;
  if (with_padding) return axis.kernel;
  return (end < axis.size ? end : axis.size) - (begin > 0 ? begin : 0);
}

template <class T>
GPU_KERNEL void avg_pool_kernel(int64_t size, Windows windows, bool with_padding, T* out,
                                const T* x) {
  using W = Wide<T>;
  const Axis down = windows.down;
  const Axis across = windows.across;
  for (int64_t i = gpu_block_x() * gpu_threads() + gpu_thread(); i < size;
       i += gpu_blocks_x() * gpu_threads()) {
    const Pixel at = pixel(i, down.windows, across.windows);
    const T* image = x + at.plane * down.size * across.size;
    W sum = 0;
    for (int ky = 0; ky < down.kernel; ++ky) {
      const int y = down.place(at.row, ky);
      if (!down.is_inside(y)) continue;
      for (int kx = 0; kx < across.kernel; ++kx) {
        const int column = across.place(at.column, kx);
        if (across.is_inside(column)) {
          sum += static_cast<W>(image[static_cast<int64_t>(y) * across.size + column]);
        }
      }
    }
    const int64_t count = static_cast<int64_t>(counted(down, at.row, with_padding)) *
                          counted(across, at.column, with_padding);
    out[i] = convert<T>(sum / static_cast<W>(count));
  }
}

// The first window that a place of the image is in, and the one after the last.
struct Range {
  int begin;
  int end;
};

GPU_DEVICE Range windows_with(const Axis& axis, int place) {
  const int padded = place + axis.before;
  const int first = padded - axis.kernel + 1;
  const int last = padded / axis.stride;
  return {first > 0 ? (first + axis.stride - 1) / axis.stride : 0,
          last < axis.windows ? last + 1 : axis.windows};
}

template <class T>
GPU_KERNEL void avg_pool_backward_kernel(int64_t size, Windows windows, bool with_padding, T* dx,
                                         const T* grad) {
  using W = Wide<T>;
  const Axis down = windows.down;
  const Axis across = windows.across;
  for (int64_t i = gpu_block_x() * gpu_threads() + gpu_thread(); i < size;
       i += gpu_blocks_x() * gpu_threads()) {
    const Pixel at = pixel(i, down.size, across.size);
    const T* image = grad + at.plane * down.windows * across.windows;
    const Range rows = windows_with(down, at.row);
    const Range columns = windows_with(across, at.column);
    W sum = 0;
    for (int y = rows.begin; y < rows.end; ++y) {
      const int height = counted(down, y, with_padding);
      for (int column = columns.begin; column < columns.end; ++column) {
        const int64_t count = static_cast<int64_t>(height) * counted(across, column, with_padding);
        sum += static_cast<W>(image[static_cast<int64_t>(y) * across.windows + column]) /
               static_cast<W>(count);
      }
    }
    dx[i] = convert<T>(sum);
  }
}

void avg_pool(const Call& call) {
  const Tensor& out = call.out();
  const Tensor& x = call.in(0);
  const int64_t size = out.size();
  if (size == 0) return;
  const auto kernel = call.attributes.integers("kernel_size");
  const Windows windows =
      windows_of(call.attributes, x.shape + 2, out.shape + 2, kernel.data(), false);
  visit(Floats(), x.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    gpu_launch(&avg_pool_kernel<T>, {blocks_for(size, kPoolThreads)}, kPoolThreads, call.stream(),
               size, windows, call.attributes.flag("count_include_pad"), out.as<T>(),
               x.as<const T>());
  });
}

void avg_pool_backward(const Call& call) {
  const Tensor& out = call.out();
  const Tensor& grad = call.in(0);
  const int64_t size = out.size();
  if (size == 0) return;
  const auto kernel = call.attributes.integers("kernel_size");
  const Windows windows =
      windows_of(call.attributes, out.shape + 2, grad.shape + 2, kernel.data(), false);
  visit(Floats(), grad.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    gpu_launch(&avg_pool_backward_kernel<T>, {blocks_for(size, kPoolThreads)}, kPoolThreads,
               call.stream(), size, windows, call.attributes.flag("count_include_pad"), out.as<T>(),
               grad.as<const T>());
  });
}

// Region i of n reaches from floor(i L / n) to ceil((i + 1) L / n).
struct Regions {
  int size;   // L
  int count;  // n

  GPU_DEVICE int begin(int i) const {
    return static_cast<int>(static_cast<int64_t>(i) * size / count);
  }
  GPU_DEVICE int end(int i) const {
    return static_cast<int>((static_cast<int64_t>(i + 1) * size + count - 1) / count);
  }
  // The first region that a place is in; the others follow it.
  GPU_DEVICE int first_with(int place) const {
    return static_cast<int>(static_cast<int64_t>(place) * count / size);
  }
};

template <class T>
GPU_KERNEL void adaptive_kernel(int64_t size, Regions down, Regions across, T* out, const T* x) {
  using W = Wide<T>;
  for (int64_t i = gpu_block_x() * gpu_threads() + gpu_thread(); i < size;
       i += gpu_blocks_x() * gpu_threads()) {
    const Pixel at = pixel(i, down.count, across.count);
    const T* image = x + at.plane * down.size * across.size;
    const int left = across.begin(at.column);
    const int right = across.end(at.column);
    W sum = 0;
    for (int y = down.begin(at.row); y < down.end(at.row); ++y) {
      for (int column = left; column < right; ++column) {
        sum += static_cast<W>(image[static_cast<int64_t>(y) * across.size + column]);
      }
    }
    const int64_t count =
        static_cast<int64_t>(down.end(at.row) - down.begin(at.row)) * (right - left);
    out[i] = convert<T>(sum / static_cast<W>(count));
  }
}

template <class T>
GPU_KERNEL void adaptive_backward_kernel(int64_t size, Regions down, Regions across, T* dx,
                                         const T* grad) {
  using W = Wide<T>;
  for (int64_t i = gpu_block_x() * gpu_threads() + gpu_thread(); i < size;
       i += gpu_blocks_x() * gpu_threads()) {
    const Pixel at = pixel(i, down.size, across.size);
    const T* image = grad + at.plane * down.count * across.count;
    W sum = 0;
    for (int y = down.first_with(at.row); y < down.count && down.begin(y) <= at.row; ++y) {
      int column = across.first_with(at.column);
      for (; column < across.count && across.begin(column) <= at.column; ++column) {
        const int64_t count = static_cast<int64_t>(down.end(y) - down.begin(y)) *
                              (across.end(column) - across.begin(column));
        sum += static_cast<W>(image[static_cast<int64_t>(y) * across.count + column]) /
               static_cast<W>(count);
      }
    }
    dx[i] = convert<T>(sum);
  }
}

template <bool kBackward>
void adaptive_avg_pool(const Call& call) {
  const Tensor& out = call.out();
  const Tensor& x = call.in(0);
  const int64_t size = out.size();
  if (size == 0) return;
  const Tensor& image = kBackward ? out : x;
  const Tensor& regions = kBackward ? x : out;
  const Regions down{static_cast<int>(image.shape[2]), static_cast<int>(regions.shape[2])};
  const Regions across{static_cast<int>(image.shape[3]), static_cast<int>(regions.shape[3])};
  visit(Floats(), x.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    gpu_launch(kBackward ? &adaptive_backward_kernel<T> : &adaptive_kernel<T>,
               {blocks_for(size, kPoolThreads)}, kPoolThreads, call.stream(), size, down, across,
               out.as<T>(), x.as<const T>());
  });
}

}  // namespace

std::vector<Op> pooling_ops() {
  const DTypeSet floats = set_of(Floats());
  return {
      {"adaptive_avg_pool2d", adaptive_avg_pool<false>, floats},
      {"adaptive_avg_pool2d_backward", adaptive_avg_pool<true>, floats},
      {"avg_pool2d", avg_pool, floats},
      {"avg_pool2d_backward", avg_pool_backward, floats},
      {"max_pool2d", max_pool, set_of(Every())},
      {"max_pool2d_values", max_pool, set_of(Every())},
  };
}

}  // namespace phynexus
