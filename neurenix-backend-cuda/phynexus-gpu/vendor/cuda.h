// The neutral names in CUDA.
#pragma once

#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cmath>
#include <cstdio>

#define GPU_KERNEL static __global__
#define GPU_DEVICE __device__ __forceinline__
#define GPU_HOST_DEVICE __host__ __device__ __forceinline__
#define GPU_ROLLED _Pragma("unroll 1")
#define GPU_UNROLLED _Pragma("unroll")
#define GPU_SHARED(type, name, extents) __shared__ type name extents

GPU_DEVICE int gpu_thread() { return threadIdx.x; }
GPU_DEVICE int gpu_threads() { return blockDim.x; }
GPU_DEVICE int64_t gpu_block_x() { return blockIdx.x; }
GPU_DEVICE int gpu_block_y() { return blockIdx.y; }
GPU_DEVICE int gpu_block_z() { return blockIdx.z; }
GPU_DEVICE int64_t gpu_blocks_x() { return gridDim.x; }
GPU_DEVICE constexpr int gpu_warp_size() { return 32; }
GPU_DEVICE void gpu_sync() { __syncthreads(); }

constexpr unsigned gpu_all_lanes = 0xFFFFFFFFu;
GPU_DEVICE unsigned gpu_shfl_word(unsigned word, int lane) {
  return __shfl_sync(gpu_all_lanes, word, lane);
}
GPU_DEVICE bool gpu_first(unsigned long long* word, unsigned long long value) {
  return atomicCAS(word, 0ULL, value) == 0;
}

GPU_HOST_DEVICE uint16_t gpu_half_bits(float value) {
  return __half_as_ushort(__float2half_rn(value));
}
GPU_HOST_DEVICE float gpu_half_value(uint16_t bits) { return __half2float(__ushort_as_half(bits)); }

using gpu_stream = cudaStream_t;
using gpu_error = cudaError_t;
constexpr gpu_error gpu_success = cudaSuccess;

inline const char* gpu_error_text(gpu_error error) { return cudaGetErrorString(error); }
// A machine without a GPU has none of them, which is no error.
inline gpu_error gpu_device_count(int* count) {
  const gpu_error error = cudaGetDeviceCount(count);
  if (error != cudaErrorNoDevice) return error;
  *count = 0;
  return gpu_success;
}
inline gpu_error gpu_set_device(int index) { return cudaSetDevice(index); }
inline gpu_error gpu_last_error() { return cudaGetLastError(); }
inline gpu_error gpu_stream_create(gpu_stream* stream) {
  // Not ordered with the default stream, on which other libraries of the process may work.
  return cudaStreamCreateWithFlags(stream, cudaStreamNonBlocking);
}
inline gpu_error gpu_stream_destroy(gpu_stream stream) { return cudaStreamDestroy(stream); }
inline gpu_error gpu_stream_synchronize(gpu_stream stream) { return cudaStreamSynchronize(stream); }
inline gpu_error gpu_device_synchronize() { return cudaDeviceSynchronize(); }
inline gpu_error gpu_malloc(void** pointer, size_t size) { return cudaMalloc(pointer, size); }
inline gpu_error gpu_free(void* pointer) { return cudaFree(pointer); }
inline gpu_error gpu_malloc_host(void** pointer, size_t size) {
  return cudaMallocHost(pointer, size);
}
inline gpu_error gpu_free_host(void* pointer) { return cudaFreeHost(pointer); }
inline gpu_error gpu_copy_async(void* to, const void* from, size_t size, gpu_stream stream) {
  return cudaMemcpyAsync(to, from, size, cudaMemcpyDefault, stream);
}
inline gpu_error gpu_fill_bytes_async(void* to, int byte, size_t size, gpu_stream stream) {
  return cudaMemsetAsync(to, byte, size, stream);
}
inline gpu_error gpu_describe(int index, char* name, size_t size, size_t* memory_bytes) {
  cudaDeviceProp properties;
  gpu_error error = cudaGetDeviceProperties(&properties, index);
  if (error != gpu_success) return error;
  std::snprintf(name, size, "%s, compute capability %d.%d", properties.name, properties.major,
                properties.minor);
  *memory_bytes = properties.totalGlobalMem;
  return error;
}

// A point in a stream that the host can wait for.
using gpu_event = cudaEvent_t;
inline gpu_error gpu_event_create(gpu_event* event) {
  return cudaEventCreateWithFlags(event, cudaEventDisableTiming);
}
inline gpu_error gpu_event_record(gpu_event event, gpu_stream stream) {
  return cudaEventRecord(event, stream);
}
inline gpu_error gpu_event_synchronize(gpu_event event) { return cudaEventSynchronize(event); }
inline gpu_error gpu_event_destroy(gpu_event event) { return cudaEventDestroy(event); }

// Work that is added to a stream in between is kept as a graph, and not done. Memory may be asked
// for meanwhile, and other streams used.
using gpu_graph = cudaGraphExec_t;
inline gpu_error gpu_capture_begin(gpu_stream stream) {
  return cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed);
}
// The capture is over also where this fails.
inline gpu_error gpu_capture_end(gpu_stream stream, gpu_graph* made) {
  cudaGraph_t captured = nullptr;
  gpu_error error = cudaStreamEndCapture(stream, &captured);
  if (error != gpu_success) return error;
  error = cudaGraphInstantiate(made, captured, 0);
  const gpu_error destroyed = cudaGraphDestroy(captured);
  return error != gpu_success ? error : destroyed;
}
inline gpu_error gpu_graph_launch(gpu_graph graph, gpu_stream stream) {
  return cudaGraphLaunch(graph, stream);
}
inline gpu_error gpu_graph_destroy(gpu_graph graph) { return cudaGraphExecDestroy(graph); }

// What a vendor's library takes for a stream; and the libraries that there may be.
inline void* gpu_stream_handle(gpu_stream stream) { return stream; }
constexpr const char* gpu_libraries[] = {"cublaslt", "cudnn"};
constexpr int gpu_runtime_major = CUDART_VERSION / 1000;
constexpr int gpu_dlpack_device = 2;  // the number of such devices in DLPack

template <class... Parameters>
void gpu_launch(void (*kernel)(Parameters...), gpu_grid grid, int threads, gpu_stream stream,
                typename gpu_as_given<Parameters>::type... arguments) {
  const dim3 blocks(static_cast<unsigned>(grid.x), grid.y, grid.z);
  kernel<<<blocks, threads, 0, stream>>>(arguments...);
}

#include "vendor/lanes.h"
