#include "runtime/device.h"

#include <cstring>
#include <stdexcept>

#include "runtime/recording.h"

namespace phynexus {

namespace {

constexpr size_t kStagingBytes = 1 << 20;
constexpr size_t kSmallBytes = 64 << 10;  // beyond it, a second copy costs more than the wait

}  // namespace

void check(gpu_error error, const char* call) {
  if (error == gpu_success) return;
  throw std::runtime_error(std::string(gpu_error_text(error)) + " (" +
                           std::string(call).substr(0, std::string(call).find('(')) + ")");
}

Device::Device(int index) : index_(index) {
  use();
  PHYNEXUS_CHECK(gpu_stream_create(&stream_));
  PHYNEXUS_CHECK(gpu_malloc(&fault_, sizeof(Fault)));
  PHYNEXUS_CHECK(gpu_malloc_host(&host_fault_, sizeof(Fault)));
  PHYNEXUS_CHECK(gpu_malloc_host(&staging_, kStagingBytes));
  PHYNEXUS_CHECK(gpu_fill_bytes_async(fault_, 0, sizeof(Fault), stream_));
  memory_ = std::make_unique<Allocator>(stream_);
}

// What fails here fails because the process is about to end, or the device is lost.
Device::~Device() {
  ignore(gpu_set_device(index_));
  ignore(gpu_stream_synchronize(stream_));
  memory_.reset();
  ignore(gpu_free(fault_));
  ignore(gpu_free_host(host_fault_));
  ignore(gpu_free_host(staging_));
  ignore(gpu_stream_destroy(stream_));
}

gpu_stream Device::stream() const {
  const Recording* recording = Recording::active();
  return recording != nullptr && &recording->device() == this ? recording->stream() : stream_;
}

void Device::use() const { PHYNEXUS_CHECK(gpu_set_device(index_)); }

Fault Device::synchronize() {
  std::lock_guard<std::mutex> lock(mutex_);
  use();
  PHYNEXUS_CHECK(gpu_copy_async(host_fault_, fault_, sizeof(Fault), stream_));
  PHYNEXUS_CHECK(gpu_stream_synchronize(stream_));
  staged_bytes_ = 0;
  const Fault found = *static_cast<Fault*>(host_fault_);
  if (found != 0) PHYNEXUS_CHECK(gpu_fill_bytes_async(fault_, 0, sizeof(Fault), stream_));
  return found;
}

void Device::upload(void* to, const void* from, size_t size) {
  if (size == 0) return;
  std::lock_guard<std::mutex> lock(mutex_);
  use();
  if (size <= kSmallBytes) {
    if (staged_bytes_ + size > kStagingBytes) {
      PHYNEXUS_CHECK(gpu_stream_synchronize(stream_));
      staged_bytes_ = 0;
    }
    char* place = static_cast<char*>(staging_) + staged_bytes_;
    std::memcpy(place, from, size);
    staged_bytes_ += (size + 15) / 16 * 16;
    PHYNEXUS_CHECK(gpu_copy_async(to, place, size, stream_));
    return;
  }
  PHYNEXUS_CHECK(gpu_copy_async(to, from, size, stream_));
  PHYNEXUS_CHECK(gpu_stream_synchronize(stream_));
}

void Device::download(void* to, const void* from, size_t size) {
  if (size == 0) return;
  std::lock_guard<std::mutex> lock(mutex_);
  use();
  PHYNEXUS_CHECK(gpu_copy_async(to, from, size, stream_));
  PHYNEXUS_CHECK(gpu_stream_synchronize(stream_));
}

int count_devices() {
  int count = 0;
  PHYNEXUS_CHECK(gpu_device_count(&count));
  return count;
}

Description describe(int index) {
  char name[256] = {};
  size_t memory_bytes = 0;
  PHYNEXUS_CHECK(gpu_describe(index, name, sizeof(name), &memory_bytes));
  return {name, memory_bytes};
}

}  // namespace phynexus
