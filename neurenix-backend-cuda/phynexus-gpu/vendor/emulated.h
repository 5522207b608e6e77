// The neutral names on the host, by the emulator. For tests alone.
#pragma once

#include <cmath>
#include <cstring>
#include <utility>

#include "emulator/device.h"
#include "emulator/grid.h"

#define GPU_KERNEL static
#define GPU_DEVICE inline
#define GPU_HOST_DEVICE inline
#define GPU_ROLLED
#define GPU_UNROLLED
#define GPU_SHARED(type, name, extents)                   \
  typedef type name##_in_block extents;                   \
  static const char name##_declaration = 0;               \
  name##_in_block& name = *static_cast<name##_in_block*>( \
      phynexus::emulator::shared_memory(&name##_declaration, sizeof(name##_in_block)))

inline int gpu_thread() { return phynexus::emulator::position.thread; }
inline int gpu_threads() { return phynexus::emulator::position.threads; }
inline int64_t gpu_block_x() { return phynexus::emulator::position.block_x; }
inline int gpu_block_y() { return phynexus::emulator::position.block_y; }
inline int gpu_block_z() { return phynexus::emulator::position.block_z; }
inline int64_t gpu_blocks_x() { return phynexus::emulator::position.blocks_x; }
inline int gpu_warp_size() { return phynexus::emulator::settings().warp_size; }

// The defaults tell the emulator where in the source a thread waits.
inline void gpu_sync(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  phynexus::emulator::wait_for_block({file, line});
}

template <class T>
T gpu_shfl(T value, int lane, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  phynexus::emulator::exchange(&value, sizeof(T), lane, {file, line});
  return value;
}

template <class T>
T gpu_shfl_down(T value, int by, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  int lane = gpu_thread() % gpu_warp_size();
  return gpu_shfl(value, lane + by < gpu_warp_size() ? lane + by : lane, file, line);
}

template <class T>
T gpu_shfl_xor(T value, int mask, const char* file = __builtin_FILE(),
               int line = __builtin_LINE()) {
  return gpu_shfl(value, (gpu_thread() % gpu_warp_size()) ^ mask, file, line);
}

inline bool gpu_first(unsigned long long* word, unsigned long long value) {
  bool first = *word == 0;
  if (first) *word = value;
  return first;
}

using gpu_stream = phynexus::emulator::Queue*;
using gpu_error = int;
constexpr gpu_error gpu_success = 0;

inline const char* gpu_error_text(gpu_error error) { return phynexus::emulator::text_of(error); }
inline gpu_error gpu_device_count(int* count) { return phynexus::emulator::count(count); }
inline gpu_error gpu_set_device(int) { return gpu_success; }
inline gpu_error gpu_last_error() { return gpu_success; }
inline gpu_error gpu_stream_create(gpu_stream* stream) {
  *stream = new phynexus::emulator::Queue;
  return gpu_success;
}
inline gpu_error gpu_stream_destroy(gpu_stream stream) {
  delete stream;
  return gpu_success;
}
inline gpu_error gpu_stream_synchronize(gpu_stream stream) { return stream->drain(); }
// Copies and queues belong to their device, and each is waited for by itself.
inline gpu_error gpu_device_synchronize() { return gpu_success; }
inline gpu_error gpu_malloc(void** pointer, size_t size) {
  return phynexus::emulator::allocate(pointer, size);
}
inline gpu_error gpu_free(void* pointer) { return phynexus::emulator::release(pointer); }
inline gpu_error gpu_malloc_host(void** pointer, size_t size) {
  *pointer = ::operator new(size);
  return gpu_success;
}
inline gpu_error gpu_free_host(void* pointer) {
  ::operator delete(pointer);
  return gpu_success;
}
inline gpu_error gpu_copy_async(void* to, const void* from, size_t size, gpu_stream stream) {
  return stream->add([=] { std::memcpy(to, from, size); });
}
inline gpu_error gpu_fill_bytes_async(void* to, int byte, size_t size, gpu_stream stream) {
  return stream->add([=] { std::memset(to, byte, size); });
}
inline gpu_error gpu_describe(int index, char* name, size_t size, size_t* memory_bytes) {
  return phynexus::emulator::describe(index, name, size, memory_bytes);
}

// Waiting for a point in the queue does all that is in it: more than a GPU would have done by then.
struct gpu_emulated_event {
  gpu_stream stream = nullptr;
};
using gpu_event = gpu_emulated_event*;
inline gpu_error gpu_event_create(gpu_event* event) {
  *event = new gpu_emulated_event;
  return gpu_success;
}
inline gpu_error gpu_event_record(gpu_event event, gpu_stream stream) {
  event->stream = stream;
  return gpu_success;
}
inline gpu_error gpu_event_synchronize(gpu_event event) {
  return event->stream == nullptr ? gpu_success : event->stream->drain();
}
inline gpu_error gpu_event_destroy(gpu_event event) {
  delete event;
  return gpu_success;
}

using gpu_graph = std::shared_ptr<const phynexus::emulator::Recorded>;
inline gpu_error gpu_capture_begin(gpu_stream stream) { return stream->begin_recording(); }
inline gpu_error gpu_capture_end(gpu_stream stream, gpu_graph* made) {
  return stream->end_recording(*made);
}
inline gpu_error gpu_graph_launch(const gpu_graph& graph, gpu_stream stream) {
  for (const auto& work : *graph) {
    if (const gpu_error error = stream->add(work)) return error;
  }
  return gpu_success;
}
inline gpu_error gpu_graph_destroy(const gpu_graph&) { return gpu_success; }

inline void* gpu_stream_handle(gpu_stream stream) {
  return static_cast<phynexus::emulator::Stream*>(stream);
}
constexpr const char* gpu_libraries[] = {"cublaslt", "cudnn", "rocblas"};
constexpr int gpu_runtime_major = 0;
constexpr int gpu_dlpack_device = 1;  // the number of such devices in DLPack

// Nothing runs before the host waits: a kernel that relies on the host's memory is found.
template <class... Parameters>
void gpu_launch(void (*kernel)(Parameters...), gpu_grid grid, int threads, gpu_stream stream,
                typename gpu_as_given<Parameters>::type... arguments) {
  stream->add([=] {
    auto thread = [&] { kernel(arguments...); };
    using Thread = decltype(thread);
    phynexus::emulator::run(
        {grid.x, grid.y, grid.z}, threads, [](void* code) { (*static_cast<Thread*>(code))(); },
        &thread);
  });
}
