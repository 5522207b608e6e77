// Scaled dot-product attention: two products, and the softmax of the scores between them, which are
// kept as wide as they were summed.
#include "kernels/gemm.h"
#include "kernels/softmax.h"
#include "kernels/table.h"
#include "tensor/numbers.h"

namespace phynexus {

namespace {

// Matrices in two axes of a tensor, for batches of the output's shape.
template <class T>
MatrixLoader<T> matrices(const Tensor& x, const Tensor& out, int outer_axis, int depth_axis) {
  Walk<1> batches;
  for (int axis = 0; axis < out.rank - 2; ++axis) {
    batches.add(out.shape[axis], {broadcast_stride(x, out.rank, axis)});
  }
  const int64_t outer = x.strides[outer_axis];
  const int64_t depth = x.strides[depth_axis];
  return {x.as<const T>(), batches, outer, depth, depth < outer};
}

// Bools, which say where a query may attend, or numbers that are added to its scores.
struct Mask {
  AnyNumbers values;  // none: null
  Walk<1> batches;
  int64_t row_stride;
  int64_t column_stride;
};

Mask mask_of(const Tensor& mask, const Tensor& out) {
  if (!mask.present) return {{nullptr, DType::kBool}, {}, 0, 0};
  Walk<1> batches;
  for (int axis = 0; axis < out.rank - 2; ++axis) {
    batches.add(out.shape[axis], {broadcast_stride(mask, out.rank, axis)});
  }
  return {{mask.data, mask.dtype},
          batches,
          broadcast_stride(mask, out.rank, out.rank - 2),
          broadcast_stride(mask, out.rank, out.rank - 1)};
}

// Takes the products of queries and keys for scores; what is not allowed has none.
template <class Score>
struct ScoreStore {
  Score* scores;
  int64_t rows;
  int64_t columns;
  Score scale;
  bool is_causal;
  Mask mask;

  GPU_DEVICE void put(int64_t batch, int64_t row, int64_t column, Score sum) const {
    Score score = sum * scale;
    bool is_allowed = !is_causal || column <= row;
    if (mask.values.data != nullptr) {
      const uint64_t bits = mask.values.bits(mask.batches.find(batch) + row * mask.row_stride +
                                             column * mask.column_stride);
      if (mask.values.dtype == DType::kBool) {
        is_allowed = is_allowed && bits != 0;
      } else {
        score += mask.values.value<Score>(bits);
      }
    }
    scores[(batch * rows + row) * columns + column] =
        is_allowed ? score : -std::numeric_limits<Score>::infinity();
  }
};

// Makes weights of the scores of each query; all are 0 where nothing is allowed.
template <class Score>
GPU_KERNEL void weigh_kernel(Rows rows, Score* scores) {
  for (int64_t r = gpu_block_x(); r < rows.count; r += gpu_blocks_x()) {
    Score* row = scores + rows.first(r);
    const LargestAndTotal<Score> found = largest_and_total<Score>(row, rows);
    const bool is_empty = found.largest == -std::numeric_limits<Score>::infinity();
    for (int64_t i = gpu_thread(); i < rows.length; i += gpu_threads()) {
      row[i] = is_empty ? Score(0) : std::exp(row[i] - found.largest) / found.total;
    }
  }
}

// The weights, as the left matrix of the product with the values.
template <class T>
struct WeightLoader {
  using Element = T;
  using Value = Wide<T>;
  using Start = const Value*;
  static constexpr bool depth_is_inner = true;

  const Value* weights;
  int64_t rows;
  int64_t columns;

  GPU_DEVICE Start start(int64_t batch) const { return weights + batch * rows * columns; }
  GPU_DEVICE Value at(Start start, int64_t outer, int64_t depth) const {
    return start[outer * columns + depth];
  }
};

void attention(const Call& call) {
  const Tensor& out = call.out();
  const Tensor& query = call.in(0);
  const Tensor& key = call.in(1);
  const Tensor& value = call.in(2);
  const int64_t batches = out.size(0, out.rank - 2);
  const int64_t rows = out.shape[out.rank - 2];
  const int64_t columns = key.shape[key.rank - 2];
  if (out.size() == 0) return;
  visit(Floats(), out.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    using Score = Wide<T>;
    Scratch scratch(call.device.memory(), batches * rows * columns * sizeof(Score));
    Score* scores = scratch.as<Score>();
    gemm(call.device, GemmShape{batches, rows, columns, query.shape[query.rank - 1]},
         matrices<T>(query, out, query.rank - 2, query.rank - 1),
         matrices<T>(key, out, key.rank - 2, key.rank - 1),
         ScoreStore<Score>{scores, rows, columns, static_cast<Score>(call.attributes.real("scale")),
                           call.attributes.flag("is_causal"), mask_of(call.in(3), out)});
    const Rows lines{batches * rows, columns, 1};
    gpu_launch(&weigh_kernel<Score>, {blocks_of(lines)}, threads_for(lines), call.stream(), lines,
               scores);
    gemm(call.device, GemmShape{batches, rows, out.shape[out.rank - 1], columns},
         WeightLoader<T>{scores, rows, columns},
         matrices<T>(value, out, value.rank - 1, value.rank - 2),
         MatrixStore<T>{out.as<T>(), nullptr, rows, out.shape[out.rank - 1]});
  });
}

}  // namespace

std::vector<Op> attention_ops() {
  const DTypeSet with_masks = set_of(Floats()) | set_of(Types<bool>());
  return {{"scaled_dot_product_attention", attention, with_masks, true}};
}

}  // namespace phynexus
