// Products of matrices.

import { broadcastOffsets } from "./indices.js";

/** x W^T + b: x (..., I), weight (O, I), bias (O) or null. */
function linear(out, [x, weight, bias]) {
  const [outputs, inputs] = weight.shape;
  const rows = x.data.length / inputs;
  return () => {
    for (let row = 0; row < rows; row++) {
      for (let o = 0; o < outputs; o++) {
        let sum = 0;
        for (let i = 0; i < inputs; i++) {
          sum += x.data[row * inputs + i] * weight.data[o * inputs + i];
        }
        out.data[row * outputs + o] = sum + (bias === null ? 0 : bias.data[o]);
      }
    }
  };
}

/** x (..., M, K) times y (..., K, N), whose leading axes broadcast. */
function matmul(out, [x, y]) {
  const [rows, depth] = x.shape.slice(-2);
  const columns = y.shape.at(-1);
  const lead = out.shape.slice(0, -2);
  const xs = broadcastOffsets(x.shape.slice(0, -2), lead);
  const ys = broadcastOffsets(y.shape.slice(0, -2), lead);
  const sums = new Float64Array(columns);
  return () => {
    let target = 0;
    for (let matrix = 0; matrix < xs.length; matrix++) {
      const left = xs[matrix] * rows * depth;
      const right = ys[matrix] * depth * columns;
      for (let m = 0; m < rows; m++) {
        sums.fill(0);
        for (let k = 0; k < depth; k++) {
          const value = x.data[left + m * depth + k];
          const row = right + k * columns;
          for (let n = 0; n < columns; n++) sums[n] += value * y.data[row + n];
        }
        out.data.set(sums, target);
        target += columns;
      }
    }
  };
}

export const PRODUCTS = { linear, matmul };
