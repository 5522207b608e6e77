// Ops that only move elements.

import { denseStrides, offsetsOf } from "./indices.js";

/** A dense copy of a view. */
function copy(out, [x]) {
  const offsets = offsetsOf(x.shape, x.strides);
  return () => {
    for (let i = 0; i < out.data.length; i++) out.data[i] = x.data[offsets[i]];
  };
}

/** Write dense tensors into boxes of the result: where each starts, and its steps. */
function place(out, boxes) {
  const strides = denseStrides(out.shape);
  const targets = boxes.map(({ x, starts, steps }) => {
    const base = starts.reduce((sum, start, axis) => sum + start * strides[axis], 0);
    const wide = strides.map((stride, axis) => stride * steps[axis]);
    return { x, offsets: offsetsOf(x.shape, wide).map((offset) => offset + base) };
  });
  return () => {
    for (const { x, offsets } of targets) {
      for (let i = 0; i < offsets.length; i++) out.data[offsets[i]] = x.data[i];
    }
  };
}

function concat(out, inputs, { axis, sizes }) {
  let start = 0;
  const boxes = inputs.map((x, number) => {
    const starts = out.shape.map((_, a) => (a === axis ? start : 0));
    start += sizes[number];
    return { x, starts, steps: out.shape.map(() => 1) };
  });
  return place(out, boxes);
}

/** A border around the elements, and space between them: widths an axis, interior an axis. */
function pad(out, [x], { widths, interior, value }) {
  const starts = widths.map(([before]) => before);
  const inside = place(out, [{ x, starts, steps: interior.map((space) => space + 1) }]);
  const border = Number(value);
  return () => {
    out.data.fill(border);
    inside();
  };
}

function fill(out, inputs, { value }) {
  return () => {
    out.data.fill(Number(value));
  };
}

export const MOVEMENT = { concat, copy, fill, pad };
