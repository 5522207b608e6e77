// Ops that compute each element from those at its place.

import { erf, gelu, geluByTanh, roundHalfEven, sigmoid } from "./functions.js";
import { broadcastOffsets } from "./indices.js";

const UNARY = {
  abs: Math.abs,
  ceil: Math.ceil,
  cos: Math.cos,
  erf,
  exp: Math.exp,
  floor: Math.floor,
  log: Math.log,
  logical_not: (x) => (x === 0 ? 1 : 0),
  neg: (x) => -x,
  round: roundHalfEven,
  sigmoid,
  sign: Math.sign,
  silu: (x) => x * sigmoid(x),
  sin: Math.sin,
  sqrt: Math.sqrt,
  tanh: Math.tanh,
};

// Math.max and Math.min give NaN where either is NaN, as they should.
const BINARY = {
  div: (x, y) => x / y,
  eq: (x, y) => (x === y ? 1 : 0),
  ge: (x, y) => (x >= y ? 1 : 0),
  gt: (x, y) => (x > y ? 1 : 0),
  le: (x, y) => (x <= y ? 1 : 0),
  lt: (x, y) => (x < y ? 1 : 0),
  maximum: Math.max,
  minimum: Math.min,
  mul: (x, y) => x * y,
  ne: (x, y) => (x !== y ? 1 : 0),
  // A power of 1, and 1 to any power, is 1 even where the other operand is NaN.
  pow: (x, y) => (x === 1 ? 1 : Math.pow(x, y)),
  sub: (x, y) => x - y,
};

function map(out, x, compute) {
  return () => {
    for (let i = 0; i < out.data.length; i++) out.data[i] = compute(x.data[i]);
  };
}

function combine(out, x, y, compute) {
  const xs = broadcastOffsets(x.shape, out.shape);
  const ys = broadcastOffsets(y.shape, out.shape);
  return () => {
    for (let i = 0; i < out.data.length; i++) {
      out.data[i] = compute(x.data[xs[i]], y.data[ys[i]]);
    }
  };
}

// The two that networks spend their time with have loops of their own, without a call in them.

function relu(out, [x]) {
  return () => {
    for (let i = 0; i < out.data.length; i++) {
      const value = x.data[i];
      out.data[i] = value < 0 ? 0 : value;
    }
  };
}

function add(out, [x, y]) {
  const alike = x.data.length === out.data.length && y.data.length === out.data.length;
  if (!alike) return combine(out, x, y, (a, b) => a + b);
  return () => {
    for (let i = 0; i < out.data.length; i++) out.data[i] = x.data[i] + y.data[i];
  };
}

function where(out, [condition, x, y]) {
  const cs = broadcastOffsets(condition.shape, out.shape);
  const xs = broadcastOffsets(x.shape, out.shape);
  const ys = broadcastOffsets(y.shape, out.shape);
  return () => {
    for (let i = 0; i < out.data.length; i++) {
      out.data[i] = condition.data[cs[i]] !== 0 ? x.data[xs[i]] : y.data[ys[i]];
    }
  };
}

export const ELEMENTWISE = {
  add,
  cast: (out, [x]) => map(out, x, out.dtype === "bool" ? (v) => (v !== 0 ? 1 : 0) : (v) => v),
  gelu: (out, [x], { approximate }) => map(out, x, approximate === "tanh" ? geluByTanh : gelu),
  leaky_relu: (out, [x], { negative_slope: slope }) => map(out, x, (v) => (v > 0 ? v : v * slope)),
  relu,
  where,
};
for (const [name, compute] of Object.entries(UNARY)) {
  ELEMENTWISE[name] = (out, [x]) => map(out, x, compute);
}
for (const [name, compute] of Object.entries(BINARY)) {
  ELEMENTWISE[name] = (out, [x, y]) => combine(out, x, y, compute);
}
