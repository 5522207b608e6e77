// The ops that plain JavaScript carries out. The exporter refuses a model with any other.
//
// A kernel is kernel(out, inputs, attributes), and returns a function that computes `out` from
// what the inputs hold then. A tensor is { dtype, shape, strides, data }: all but what `copy` reads
// are dense. Inputs that an op leaves out are null.

import { conv2d } from "./convolution.js";
import { ELEMENTWISE } from "./elementwise.js";
import { MOVEMENT } from "./movement.js";
import { POOLING } from "./pooling.js";
import { PRODUCTS } from "./products.js";
import { REDUCTIONS } from "./reductions.js";

export const KERNELS = {
  conv2d,
  ...ELEMENTWISE,
  ...MOVEMENT,
  ...POOLING,
  ...PRODUCTS,
  ...REDUCTIONS,
};
