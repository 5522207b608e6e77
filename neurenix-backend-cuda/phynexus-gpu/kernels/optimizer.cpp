// Steps of optimizers, in place, of any number of parameters in one launch. Parameters, gradients
// and state may be of different dtypes; all is computed in float, or in double where the parameter
// is one.
#include "kernels/map.h"
#include "kernels/table.h"
#include "tensor/floats.h"

namespace phynexus {

namespace {

constexpr int kStepThreads = 256;
constexpr int kStepItems = 8;  // elements a thread, which share what is computed once a step
constexpr int kMostTensors = 6;
constexpr int kMostTargets = 32;  // so that the arguments of a launch stay below 4 KiB

// The tensors of one parameter, in the order of a rule, and the blocks that see to them: from its
// first to the first of the next.
struct Target {
  int64_t size;
  int64_t first_block;
  AnyFloats tensors[kMostTensors];
};

struct Targets {
  int count = 0;
  int64_t blocks = 0;
  Target of[kMostTargets];
};

// A rule has begin<W>(tensors), computed once a block, and step(tensors, i, begun).
template <class W, class Rule>
GPU_KERNEL void step_kernel(Targets targets, Rule rule) {
  int number = 0;
  while (number + 1 < targets.count && gpu_block_x() >= targets.of[number + 1].first_block) {
    ++number;
  }
  const Target its = targets.of[number];
  const int64_t end =
      number + 1 < targets.count ? targets.of[number + 1].first_block : targets.blocks;
  const auto begun = rule.template begin<W>(its.tensors);
  const int64_t all = (end - its.first_block) * gpu_threads();
  for (int64_t i = (gpu_block_x() - its.first_block) * gpu_threads() + gpu_thread(); i < its.size;
       i += all) {
    rule.step(its.tensors, i, begun);
  }
}

// An output or an input of a call.
struct Argument {
  bool is_output;
  int number;
  AnyFloats of(const Call& call) const {
    return floats_of(is_output ? call.out(number) : call.in(number));
  }
};

template <class Rule>
void launch(const std::vector<Call>& calls, const Rule& rule,
            std::initializer_list<Argument> arguments) {
  visit_wide(calls[0].out().dtype, [&](auto tag) {
    using W = typename decltype(tag)::type;
    Targets targets;
    auto flush = [&] {
      if (targets.count == 0) return;
      gpu_launch(&step_kernel<W, Rule>, {targets.blocks}, kStepThreads, calls[0].stream(), targets,
                 rule);
      targets.count = 0;
      targets.blocks = 0;
    };
    for (const Call& call : calls) {
      const int64_t size = call.out().size();
      if (size == 0) continue;
      Target& its = targets.of[targets.count++];
      its = {size, targets.blocks, {}};
      AnyFloats* place = its.tensors;
      for (const Argument& argument : arguments) *place++ = argument.of(call);
      targets.blocks += blocks_for(size, kStepThreads * kStepItems);
      if (targets.count == kMostTargets) flush();
    }
    flush();
  });
}

// Of a parameter, its gradient and the rate.
struct Sgd {
  double weight_decay;

  template <class W>
  GPU_DEVICE W begin(const AnyFloats* tensors) const {
    return tensors[2].at<W>(0);
  }
  template <class W>
  GPU_DEVICE void step(const AnyFloats* tensors, int64_t i, W rate) const {
    const W p = tensors[0].at<W>(i);
    tensors[0].put(i, p - rate * (tensors[1].at<W>(i) + static_cast<W>(weight_decay) * p));
  }
};

void sgd_steps(const std::vector<Call>& calls) {
  launch(calls, Sgd{calls[0].attributes.real("weight_decay")}, {{true, 0}, {false, 1}, {false, 2}});
}

// Of a parameter, its velocity, its gradient and the rate.
struct Momentum {
  double momentum;
  double share;  // of the gradient: 1 - dampening
  double weight_decay;
  bool nesterov;
  bool is_first;

  template <class W>
  GPU_DEVICE W begin(const AnyFloats* tensors) const {
    return tensors[3].at<W>(0);
  }
  template <class W>
  GPU_DEVICE void step(const AnyFloats* tensors, int64_t i, W rate) const {
    const W kept = static_cast<W>(momentum);
    const W p = tensors[0].at<W>(i);
    const W g = tensors[2].at<W>(i) + static_cast<W>(weight_decay) * p;
    const W average = is_first ? g : tensors[1].at<W>(i) * kept + g * static_cast<W>(share);
    tensors[1].put(i, average);
    tensors[0].put(i, p - rate * (nesterov ? g + average * kept : average));
  }
};

void sgd_momentum_steps(const std::vector<Call>& calls) {
  const Attributes& its = calls[0].attributes;
  const Momentum rule{its.real("momentum"), 1 - its.real("dampening"), its.real("weight_decay"),
                      its.flag("nesterov"), its.flag("first_step")};
  launch(calls, rule, {{true, 0}, {true, 1}, {false, 1}, {false, 3}});
}

template <class W>
struct AdamNow {
  W step_size;
  W root;
  W decay;
};

// Of a parameter, the means of its gradient and of its square, its gradient, the rate and the step.
struct Adam {
  double beta1;
  double beta2;
  double eps;
  double weight_decay;
  bool is_decoupled;

  template <class W>
  GPU_DEVICE AdamNow<W> begin(const AnyFloats* tensors) const {
    // Once a block, and in double: 1 - 0.999^1 has three digits less than 0.999^1.
    GPU_SHARED(W, corrections, [2]);
    const double rate = tensors[4].at<double>(0);
    if (gpu_thread() == 0) {
      const double count = tensors[5].at<double>(0);
      corrections[0] = static_cast<W>(rate / (1 - std::pow(beta1, count)));
      corrections[1] = static_cast<W>(std::sqrt(1 - std::pow(beta2, count)));
    }
    gpu_sync();
    return {corrections[0], corrections[1],
            static_cast<W>(is_decoupled ? 1 - rate * weight_decay : 1)};
  }
  template <class W>
  GPU_DEVICE void step(const AnyFloats* tensors, int64_t i, const AdamNow<W>& now) const {
    const W penalty = static_cast<W>(is_decoupled ? 0 : weight_decay);
    const W p = tensors[0].at<W>(i);
    const W g = tensors[3].at<W>(i) + penalty * p;
    const W old = tensors[1].at<W>(i);
    const W first = old + (g - old) * static_cast<W>(1 - beta1);
    const W second =
        tensors[2].at<W>(i) * static_cast<W>(beta2) + g * g * static_cast<W>(1 - beta2);
    tensors[1].put(i, first);
    tensors[2].put(i, second);
    const W divisor = std::sqrt(second) / now.root + static_cast<W>(eps);
    tensors[0].put(i, p * now.decay - now.step_size * first / divisor);
  }
};

void adam_steps(const std::vector<Call>& calls) {
  const Attributes& its = calls[0].attributes;
  const Adam rule{its.real("beta1"), its.real("beta2"), its.real("eps"), its.real("weight_decay"),
                  its.flag("decoupled")};
  launch(calls, rule, {{true, 0}, {true, 1}, {true, 2}, {false, 1}, {false, 4}, {false, 5}});
}

// One call, by what does many.
template <void (*many)(const std::vector<Call>&)>
void one(const Call& call) {
  many({call});
}

}  // namespace

std::vector<Op> optimizer_ops() {
  const DTypeSet floats = set_of(Floats());
  return {
      {"adam_step", one<adam_steps>, floats, false, false, adam_steps},
      {"sgd_momentum_step", one<sgd_momentum_steps>, floats, false, false, sgd_momentum_steps},
      {"sgd_step", one<sgd_steps>, floats, false, false, sgd_steps},
  };
}

}  // namespace phynexus
