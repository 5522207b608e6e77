// Where the elements of strided tensors lie.

/** The steps between neighbours along each axis of a dense tensor. */
export function denseStrides(shape) {
  const strides = new Array(shape.length);
  let step = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    strides[axis] = step;
    step *= shape[axis];
  }
  return strides;
}

export function elementCount(shape) {
  return shape.reduce((product, size) => product * size, 1);
}

/** The offsets of all elements of a box, in row-major order. */
export function offsetsOf(shape, strides) {
  let offsets = new Int32Array(1);
  for (let axis = 0; axis < shape.length; axis++) {
    const longer = new Int32Array(offsets.length * shape[axis]);
    for (let i = 0, place = 0; i < offsets.length; i++) {
      for (let j = 0; j < shape[axis]; j++) longer[place++] = offsets[i] + j * strides[axis];
    }
    offsets = longer;
  }
  return offsets;
}

/** The offsets of a dense tensor's elements, broadcast to a shape. */
export function broadcastOffsets(from, to) {
  const lead = to.length - from.length;
  const dense = denseStrides(from);
  const strides = to.map((_, axis) => {
    const own = axis - lead;
    return own < 0 || from[own] === 1 ? 0 : dense[own];
  });
  return offsetsOf(to, strides);
}

/** Split the axes of a dense tensor: the offsets over `axes`, and those over the others. */
export function splitOffsets(shape, axes) {
  const dense = denseStrides(shape);
  const over = (chosen) =>
    offsetsOf(chosen.map((axis) => shape[axis]), chosen.map((axis) => dense[axis]));
  const others = shape.map((_, axis) => axis).filter((axis) => !axes.includes(axis));
  return { inner: over([...axes].sort((a, b) => a - b)), outer: over(others) };
}
