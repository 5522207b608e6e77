// The neutral names in which everything outside this folder is written.
//
// This is the only place that knows for which vendor it is compiled: CUDA, HIP, or the emulation of
// the launch model on the host that the tests run on. Each of the three headers gives
//
//   GPU_KERNEL                           a function that is launched: GPU_KERNEL void name(...)
//   GPU_DEVICE, GPU_HOST_DEVICE          a function that kernels call; that the host calls too
//   GPU_SHARED(type, name, [extent]...)  memory that the threads of a block share, uninitialised
//   GPU_ROLLED, GPU_UNROLLED             before a loop: how it is compiled
//   gpu_thread(), gpu_threads()          the index of a thread in its block, and how many it has
//   gpu_block_x(), _y(), _z()            the index of a block in the grid
//   gpu_blocks_x()                       how many blocks the grid has along x
//   gpu_sync()                           waits for all threads of the block, on one line of code
//   gpu_warp_size()                      32 or 64
//   gpu_shfl(v, lane), gpu_shfl_down(v, by), gpu_shfl_xor(v, mask)
//                                        the value of another lane; all lanes of the warp take part
//   gpu_first(word, value)               sets a word that is 0, once; atomically
//   gpu_launch(kernel, grid, threads, stream, arguments...)
//   gpu_f16, gpu_bf16                    16-bit floats; arithmetic on them is done in float
//   gpu_stream, gpu_error, gpu_malloc and the rest of the run-time interface
//   gpu_event, gpu_event_record, gpu_event_synchronize
//                                        a point in a stream that the host can wait for
//   gpu_graph, gpu_capture_begin, gpu_capture_end, gpu_graph_launch
//                                        work that is recorded once and repeated
//   gpu_libraries                        the vendor's libraries that the engine can use
//
// A block has one dimension, and a number of threads that is a multiple of 64.
#pragma once

#include <cstddef>
#include <cstdint>

// The blocks of a launch along each axis.
struct gpu_grid {
  int64_t x;
  int y = 1;
  int z = 1;
};

// Keeps a parameter from being deduced: arguments are converted to what the kernel takes.
template <class T>
struct gpu_as_given {
  using type = T;
};

#if defined(PHYNEXUS_EMULATED)
#include "vendor/emulated.h"
#elif defined(PHYNEXUS_HIP)
#include "vendor/hip.h"
#else
#include "vendor/cuda.h"
#endif

#include "vendor/float16.h"
