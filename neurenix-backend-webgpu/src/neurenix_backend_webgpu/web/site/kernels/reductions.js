// Reductions over axes, and what normalises by them.

import { splitOffsets } from "./indices.js";

function reduction(first, join) {
  return (out, [x], { axes }) => {
    const { inner, outer } = splitOffsets(x.shape, axes);
    return () => {
      for (let i = 0; i < outer.length; i++) {
        let result = first;
        for (let j = 0; j < inner.length; j++) result = join(result, x.data[outer[i] + inner[j]]);
        out.data[i] = result;
      }
    };
  };
}

function softmaxes(finish) {
  return (out, [x], { axis }) => {
    const { inner, outer } = splitOffsets(x.shape, [axis]);
    return () => {
      for (let i = 0; i < outer.length; i++) {
        // Subtracting the maximum changes nothing but the range: no exponential overflows.
        let highest = -Infinity;
        for (let j = 0; j < inner.length; j++) {
          highest = Math.max(highest, x.data[outer[i] + inner[j]]);
        }
        let sum = 0;
        for (let j = 0; j < inner.length; j++) {
          sum += Math.exp(x.data[outer[i] + inner[j]] - highest);
        }
        for (let j = 0; j < inner.length; j++) {
          const place = outer[i] + inner[j];
          out.data[place] = finish(x.data[place] - highest, sum);
        }
      }
    };
  };
}

/** Each sample less its mean, by its standard deviation, over the last axes. */
function layerNorm(out, [x, weight, bias], { axes, eps }) {
  const size = x.shape.slice(x.shape.length - axes).reduce((a, b) => a * b, 1);
  return () => {
    for (let start = 0; start < x.data.length; start += size) {
      let sum = 0;
      for (let i = 0; i < size; i++) sum += x.data[start + i];
      const mean = sum / size;
      let squares = 0;
      for (let i = 0; i < size; i++) squares += (x.data[start + i] - mean) ** 2;
      const factor = 1 / Math.sqrt(squares / size + eps);
      for (let i = 0; i < size; i++) {
        const scale = weight === null ? 1 : weight.data[i];
        const shift = bias === null ? 0 : bias.data[i];
        out.data[start + i] = (x.data[start + i] - mean) * factor * scale + shift;
      }
    }
  };
}

/** Each channel of x (N, C, ...) by statistics that are known. */
function batchNormInference(out, [x, mean, variance, weight, bias], { eps }) {
  const [batch, channels] = x.shape;
  const size = x.data.length / (batch * channels);
  return () => {
    for (let plane = 0; plane < batch * channels; plane++) {
      const c = plane % channels;
      const scale = (weight === null ? 1 : weight.data[c]) / Math.sqrt(variance.data[c] + eps);
      const shift = bias === null ? 0 : bias.data[c];
      for (let i = plane * size; i < (plane + 1) * size; i++) {
        out.data[i] = (x.data[i] - mean.data[c]) * scale + shift;
      }
    }
  };
}

export const REDUCTIONS = {
  batch_norm_inference: batchNormInference,
  layer_norm: layerNorm,
  log_softmax: softmaxes((centred, sum) => centred - Math.log(sum)),
  max: reduction(-Infinity, Math.max),
  min: reduction(Infinity, Math.min),
  prod: reduction(1, (a, b) => a * b),
  softmax: softmaxes((centred, sum) => Math.exp(centred) / sum),
  sum: reduction(0, (a, b) => a + b),
};
