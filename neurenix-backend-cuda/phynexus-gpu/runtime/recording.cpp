#include "runtime/recording.h"

#include <stdexcept>

namespace phynexus {

Recording*& Recording::active() {
  thread_local Recording* active = nullptr;
  return active;
}

Recording::Recording(Device& device) : device_(device), reserve_(device.memory()) {
  if (active() != nullptr) throw std::logic_error("this thread records already");
  device.use();
  PHYNEXUS_CHECK(gpu_stream_create(&stream_));
  const gpu_error error = gpu_capture_begin(stream_);
  if (error != gpu_success) {
    ignore(gpu_stream_destroy(stream_));
    PHYNEXUS_CHECK(error);
  }
  active() = this;
  Reserve::active() = &reserve_;
}

Recording::~Recording() {
  abandon();
  if (!can_repeat_) return;
  ignore(gpu_set_device(device_.index()));
  ignore(gpu_stream_synchronize(device_.stream()));
  ignore(gpu_graph_destroy(graph_));
}

void Recording::end() {
  stop_recording();
  const gpu_error error = gpu_capture_end(stream_, &graph_);
  ignore(gpu_stream_destroy(stream_));
  check(error, "capture(");
  can_repeat_ = true;
}

void Recording::abandon() noexcept {
  if (active() != this) return;
  stop_recording();
  gpu_graph unused{};
  if (gpu_capture_end(stream_, &unused) == gpu_success) ignore(gpu_graph_destroy(unused));
  ignore(gpu_stream_destroy(stream_));
  ignore(gpu_last_error());
}

void Recording::repeat() {
  device_.use();
  PHYNEXUS_CHECK(gpu_graph_launch(graph_, device_.stream()));
}

void Recording::stop_recording() noexcept {
  active() = nullptr;
  Reserve::active() = nullptr;
}

}  // namespace phynexus
