#include "emulator/device.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <unordered_map>

#include "emulator/grid.h"

namespace phynexus::emulator {

namespace {

constexpr size_t kQueuedAtMost = 256;  // so that a loop that never waits does not fill the memory
constexpr int kPoison = 0xFF;
constexpr size_t kAlignment = 512;  // of what a driver gives

size_t number(const char* variable, size_t otherwise) {
  const char* value = std::getenv(variable);
  return value == nullptr ? otherwise : std::strtoull(value, nullptr, 10);
}

size_t memory_bytes() { return number("PHYNEXUS_EMULATED_MEMORY", size_t{4} << 30); }

// One thread at a time runs kernels, or changes what is here.
std::recursive_mutex turn;

std::unordered_map<void*, size_t> sizes;
size_t in_use = 0;
std::string failure;  // a GPU, too, is lost once a kernel has failed

}  // namespace

int Queue::add(std::function<void()> work) {
  std::lock_guard<std::recursive_mutex> lock(turn);
  if (!failure.empty()) return kKernelFailed;
  if (recording_ != nullptr) {
    recording_->push_back(std::move(work));
    return 0;
  }
  work_.push_back(std::move(work));
  return work_.size() < kQueuedAtMost ? 0 : drain();
}

int Queue::add_foreign(Stream* stream, void (*work)(void*), void* data, void (*release)(void*)) {
  std::shared_ptr<void> kept(data, release);
  return static_cast<Queue*>(stream)->add([=] { work(kept.get()); });
}

int Queue::begin_recording() {
  std::lock_guard<std::recursive_mutex> lock(turn);
  if (recording_ != nullptr) return kCaptureMisused;
  recording_ = std::make_shared<Recorded>();
  return 0;
}

int Queue::end_recording(std::shared_ptr<const Recorded>& recorded) {
  std::lock_guard<std::recursive_mutex> lock(turn);
  if (recording_ == nullptr) return kCaptureMisused;
  recorded = std::move(recording_);
  recording_ = nullptr;
  return 0;
}

int Queue::drain() {
  std::lock_guard<std::recursive_mutex> lock(turn);
  if (!failure.empty()) return kKernelFailed;
  if (recording_ != nullptr) {  // a GPU's driver gives it up
    recording_ = nullptr;
    return kCaptureMisused;
  }
  Recorded work;
  work.swap(work_);
  try {
    for (const auto& step : work) step();
  } catch (const LaunchError& error) {
    failure = std::string("a kernel has failed: ") + error.what();
    return kKernelFailed;
  }
  return 0;
}

const char* text_of(int error) {
  switch (error) {
    case 0:
      return "no error";
    case kOutOfMemory:
      return "out of memory";
    case kNoSuchDevice:
      return "no such device";
    case kCaptureMisused:
      return "the host has waited for work that is being captured";
    default:
      return failure.c_str();
  }
}

int allocate(void** pointer, size_t size) {
  std::lock_guard<std::recursive_mutex> lock(turn);
  if (size > memory_bytes() || in_use > memory_bytes() - size) return kOutOfMemory;
  *pointer = std::aligned_alloc(kAlignment, (size + kAlignment - 1) / kAlignment * kAlignment);
  if (*pointer == nullptr) return kOutOfMemory;
  std::memset(*pointer, kPoison, size);
  sizes[*pointer] = size;
  in_use += size;
  return 0;
}

int release(void* pointer) {
  std::lock_guard<std::recursive_mutex> lock(turn);
  auto found = sizes.find(pointer);
  in_use -= found->second;
  sizes.erase(found);
  std::free(pointer);
  return 0;
}

int count(int* devices) {
  *devices = static_cast<int>(number("PHYNEXUS_EMULATED_DEVICES", 2));
  return 0;
}

int describe(int index, char* name, size_t size, size_t* bytes) {
  int devices = 0;
  count(&devices);
  if (index < 0 || index >= devices) return kNoSuchDevice;
  std::snprintf(name, size, "emulated GPU, warps of %d", settings().warp_size);
  *bytes = memory_bytes();
  return 0;
}

}  // namespace phynexus::emulator
