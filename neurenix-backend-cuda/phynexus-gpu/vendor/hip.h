// The neutral names in HIP. It has no shuffles with a mask, and no type of its own for bfloat16.
#pragma once

#include <hip/hip_runtime.h>

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
// 64 on CDNA, 32 on RDNA; a constant of the compilation for each.
GPU_DEVICE constexpr int gpu_warp_size() { return __AMDGCN_WAVEFRONT_SIZE; }
GPU_DEVICE void gpu_sync() { __syncthreads(); }

GPU_DEVICE unsigned gpu_shfl_word(unsigned word, int lane) { return __shfl(word, lane); }
GPU_DEVICE bool gpu_first(unsigned long long* word, unsigned long long value) {
  return atomicCAS(word, 0ULL, value) == 0;
}

GPU_HOST_DEVICE uint16_t gpu_half_bits(float value) {
  return __builtin_bit_cast(uint16_t, static_cast<_Float16>(value));
}
GPU_HOST_DEVICE float gpu_half_value(uint16_t bits) {
  return static_cast<float>(__builtin_bit_cast(_Float16, bits));
}

using gpu_stream = hipStream_t;
using gpu_error = hipError_t;
constexpr gpu_error gpu_success = hipSuccess;

inline const char* gpu_error_text(gpu_error error) { return hipGetErrorString(error); }
// A machine without a GPU has none of them, which is no error.
inline gpu_error gpu_device_count(int* count) {
  const gpu_error error = hipGetDeviceCount(count);
  if (error != hipErrorNoDevice) return error;
  *count = 0;
  return gpu_success;
}
inline gpu_error gpu_set_device(int index) { return hipSetDevice(index); }
inline gpu_error gpu_last_error() { return hipGetLastError(); }
inline gpu_error gpu_stream_create(gpu_stream* stream) {
  // Not ordered with the default stream, on which other libraries of the process may work.
  return hipStreamCreateWithFlags(stream, hipStreamNonBlocking);
}
inline gpu_error gpu_stream_destroy(gpu_stream stream) { return hipStreamDestroy(stream); }
inline gpu_error gpu_stream_synchronize(gpu_stream stream) { return hipStreamSynchronize(stream); }
inline gpu_error gpu_device_synchronize() { return hipDeviceSynchronize(); }
inline gpu_error gpu_malloc(void** pointer, size_t size) { return hipMalloc(pointer, size); }
inline gpu_error gpu_free(void* pointer) { return hipFree(pointer); }
inline gpu_error gpu_malloc_host(void** pointer, size_t size) {
  return hipHostMalloc(pointer, size, hipHostMallocDefault);
}
inline gpu_error gpu_free_host(void* pointer) { return hipHostFree(pointer); }
inline gpu_error gpu_copy_async(void* to, const void* from, size_t size, gpu_stream stream) {
  return hipMemcpyAsync(to, from, size, hipMemcpyDefault, stream);
}
inline gpu_error gpu_fill_bytes_async(void* to, int byte, size_t size, gpu_stream stream) {
  return hipMemsetAsync(to, byte, size, stream);
}
inline gpu_error gpu_describe(int index, char* name, size_t size, size_t* memory_bytes) {
  hipDeviceProp_t properties;
  gpu_error error = hipGetDeviceProperties(&properties, index);
  if (error != gpu_success) return error;
  std::snprintf(name, size, "%s, %s", properties.name, properties.gcnArchName);
  *memory_bytes = properties.totalGlobalMem;
  return error;
}

// A point in a stream that the host can wait for.
using gpu_event = hipEvent_t;
inline gpu_error gpu_event_create(gpu_event* event) {
  return hipEventCreateWithFlags(event, hipEventDisableTiming);
}
inline gpu_error gpu_event_record(gpu_event event, gpu_stream stream) {
  return hipEventRecord(event, stream);
}
inline gpu_error gpu_event_synchronize(gpu_event event) { return hipEventSynchronize(event); }
inline gpu_error gpu_event_destroy(gpu_event event) { return hipEventDestroy(event); }

// Work that is added to a stream in between is kept as a graph, and not done. Memory may be asked
// for meanwhile, and other streams used.
using gpu_graph = hipGraphExec_t;
inline gpu_error gpu_capture_begin(gpu_stream stream) {
  return hipStreamBeginCapture(stream, hipStreamCaptureModeRelaxed);
}
// The capture is over also where this fails.
inline gpu_error gpu_capture_end(gpu_stream stream, gpu_graph* made) {
  hipGraph_t captured = nullptr;
  gpu_error error = hipStreamEndCapture(stream, &captured);
  if (error != gpu_success) return error;
  error = hipGraphInstantiate(made, captured, nullptr, nullptr, 0);
  const gpu_error destroyed = hipGraphDestroy(captured);
  return error != gpu_success ? error : destroyed;
}
inline gpu_error gpu_graph_launch(gpu_graph graph, gpu_stream stream) {
  return hipGraphLaunch(graph, stream);
}
inline gpu_error gpu_graph_destroy(gpu_graph graph) { return hipGraphExecDestroy(graph); }

// What a vendor's library takes for a stream; and the libraries that there may be.
inline void* gpu_stream_handle(gpu_stream stream) { return stream; }
constexpr const char* gpu_libraries[] = {"rocblas"};
constexpr int gpu_runtime_major = HIP_VERSION_MAJOR;
constexpr int gpu_dlpack_device = 10;  // the number of such devices in DLPack

template <class... Parameters>
void gpu_launch(void (*kernel)(Parameters...), gpu_grid grid, int threads, gpu_stream stream,
                typename gpu_as_given<Parameters>::type... arguments) {
  const dim3 blocks(static_cast<unsigned>(grid.x), grid.y, grid.z);
  kernel<<<blocks, threads, 0, stream>>>(arguments...);
}

#include "vendor/lanes.h"
