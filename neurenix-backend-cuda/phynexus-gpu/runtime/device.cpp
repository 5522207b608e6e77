#include "runtime/device.h"

#include <stdexcept>

#include "runtime/recording.h"

namespace phynexus {

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
  PHYNEXUS_CHECK(gpu_fill_bytes_async(fault_, 0, sizeof(Fault), stream_));
  staging_ = std::make_unique<Staging>(stream_);
  memory_ = std::make_unique<Allocator>(stream_);
}

// What fails here fails because the process is about to end, or the device is lost.
Device::~Device() {
  ignore(gpu_set_device(index_));
  ignore(gpu_stream_synchronize(stream_));
  memory_.reset();
  staging_.reset();
  ignore(gpu_free(fault_));
  ignore(gpu_free_host(host_fault_));
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
  staging_->all_is_done();
  const Fault found = *static_cast<Fault*>(host_fault_);
  if (found != 0) PHYNEXUS_CHECK(gpu_fill_bytes_async(fault_, 0, sizeof(Fault), stream_));
  return found;
}

void Device::upload(void* to, const void* from, size_t size) {
  if (size == 0) return;
  std::lock_guard<std::mutex> lock(mutex_);
  use();
  staging_->upload(static_cast<char*>(to), static_cast<const char*>(from), size);
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
