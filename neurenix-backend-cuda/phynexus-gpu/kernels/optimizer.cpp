// Steps of optimizers, in place. Parameters, gradients and state may be of different dtypes; all is
// computed in float, or in double where the parameter is one.
#include "kernels/map.h"
#include "kernels/table.h"
#include "tensor/floats.h"

namespace phynexus {

namespace {

constexpr int kStepThreads = 256;
constexpr int kStepItems = 8;  // elements a thread, which share what is computed once a step

template <class W>
GPU_KERNEL void sgd_kernel(int64_t size, AnyFloats param, AnyFloats grad, AnyFloats lr,
                           W weight_decay) {
  const W rate = lr.at<W>(0);
  for (int64_t i = gpu_block_x() * gpu_threads() + gpu_thread(); i < size;
       i += gpu_blocks_x() * gpu_threads()) {
    const W p = param.at<W>(i);
    param.put(i, p - rate * (grad.at<W>(i) + weight_decay * p));
  }
}

void sgd_step(const Call& call) {
  const int64_t size = call.out().size();
  if (size == 0) return;
  visit_wide(call.out().dtype, [&](auto tag) {
    using W = typename decltype(tag)::type;
    gpu_launch(&sgd_kernel<W>, {blocks_for(size, kStepThreads * kStepItems)}, kStepThreads,
               call.stream(), size, floats_of(call.out()), floats_of(call.in(1)),
               floats_of(call.in(2)), static_cast<W>(call.attributes.real("weight_decay")));
  });
}

template <class W>
struct Momentum {
  W momentum;
  W share;  // of the gradient: 1 - dampening
  W weight_decay;
  bool nesterov;
  bool is_first;
};

template <class W>
GPU_KERNEL void momentum_kernel(int64_t size, AnyFloats param, AnyFloats velocity, AnyFloats grad,
                                AnyFloats lr, Momentum<W> rule) {
  const W rate = lr.at<W>(0);
  for (int64_t i = gpu_block_x() * gpu_threads() + gpu_thread(); i < size;
       i += gpu_blocks_x() * gpu_threads()) {
    const W p = param.at<W>(i);
    const W g = grad.at<W>(i) + rule.weight_decay * p;
    const W average = rule.is_first ? g : velocity.at<W>(i) * rule.momentum + g * rule.share;
    velocity.put(i, average);
    param.put(i, p - rate * (rule.nesterov ? g + average * rule.momentum : average));
  }
}

void sgd_momentum_step(const Call& call) {
  const int64_t size = call.out().size();
  if (size == 0) return;
  const Attributes& its = call.attributes;
  visit_wide(call.out().dtype, [&](auto tag) {
    using W = typename decltype(tag)::type;
    const Momentum<W> rule{
        static_cast<W>(its.real("momentum")), static_cast<W>(1 - its.real("dampening")),
        static_cast<W>(its.real("weight_decay")), its.flag("nesterov"), its.flag("first_step")};
    gpu_launch(&momentum_kernel<W>, {blocks_for(size, kStepThreads * kStepItems)}, kStepThreads,
               call.stream(), size, floats_of(call.out(0)), floats_of(call.out(1)),
               floats_of(call.in(1)), floats_of(call.in(3)), rule);
  });
}

struct Adam {
  double beta1;
  double beta2;
  double eps;
  double weight_decay;
  bool is_decoupled;
};

template <class W>
GPU_KERNEL void adam_kernel(int64_t size, AnyFloats param, AnyFloats exp_avg, AnyFloats exp_avg_sq,
                            AnyFloats grad, AnyFloats lr, AnyFloats step, Adam rule) {
  // Once a block, and in double: 1 - 0.999^1 has three digits less than 0.999^1.
  GPU_SHARED(W, corrections, [2]);
  const double rate = lr.at<double>(0);
  if (gpu_thread() == 0) {
    const double count = step.at<double>(0);
    corrections[0] = static_cast<W>(rate / (1 - std::pow(rule.beta1, count)));
    corrections[1] = static_cast<W>(std::sqrt(1 - std::pow(rule.beta2, count)));
  }
  gpu_sync();
  const W step_size = corrections[0];
  const W root = corrections[1];
  const W penalty = static_cast<W>(rule.is_decoupled ? 0 : rule.weight_decay);
  const W decay = static_cast<W>(rule.is_decoupled ? 1 - rate * rule.weight_decay : 1);
  const W beta2 = static_cast<W>(rule.beta2);
  for (int64_t i = gpu_block_x() * gpu_threads() + gpu_thread(); i < size;
       i += gpu_blocks_x() * gpu_threads()) {
    const W p = param.at<W>(i);
    const W g = grad.at<W>(i) + penalty * p;
    const W old = exp_avg.at<W>(i);
    const W first = old + (g - old) * static_cast<W>(1 - rule.beta1);
    const W second = exp_avg_sq.at<W>(i) * beta2 + g * g * static_cast<W>(1 - rule.beta2);
    exp_avg.put(i, first);
    exp_avg_sq.put(i, second);
    const W divisor = std::sqrt(second) / root + static_cast<W>(rule.eps);
    param.put(i, p * decay - step_size * first / divisor);
  }
}

void adam_step(const Call& call) {
  const int64_t size = call.out().size();
  if (size == 0) return;
  const Attributes& its = call.attributes;
  const Adam rule{its.real("beta1"), its.real("beta2"), its.real("eps"), its.real("weight_decay"),
                  its.flag("decoupled")};
  visit_wide(call.out().dtype, [&](auto tag) {
    using W = typename decltype(tag)::type;
    gpu_launch(&adam_kernel<W>, {blocks_for(size, kStepThreads * kStepItems)}, kStepThreads,
               call.stream(), size, floats_of(call.out(0)), floats_of(call.out(1)),
               floats_of(call.out(2)), floats_of(call.in(1)), floats_of(call.in(4)),
               floats_of(call.in(5)), rule);
  });
}

}  // namespace

std::vector<Op> optimizer_ops() {
  const DTypeSet floats = set_of(Floats());
  return {
      {"adam_step", adam_step, floats},
      {"sgd_momentum_step", sgd_momentum_step, floats},
      {"sgd_step", sgd_step, floats},
  };
}

}  // namespace phynexus
