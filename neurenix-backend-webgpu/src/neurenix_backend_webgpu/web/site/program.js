// A model in plain JavaScript: the steps of plan.json, one kernel after the other.

import { denseStrides, elementCount } from "./kernels/indices.js";
import { KERNELS } from "./kernels/table.js";

export const ARRAYS = { float32: Float32Array, int32: Int32Array, bool: Uint8Array };

export class Program {
  /**
   * @param description the entry "program" of plan.json
   * @param constants a function from a tensor's name to its elements, a typed array
   */
  constructor(description, constants) {
    const buffers = description.buffers.map(({ dtype, size }) => new ARRAYS[dtype](size));
    const tensors = description.tensors.map((entry) => {
      const { dtype, shape, offset = 0 } = entry;
      const strides = entry.strides ?? denseStrides(shape);
      if (entry.constant !== undefined) {
        return { dtype, shape, strides, data: constants(entry.constant) };
      }
      const buffer = buffers[entry.buffer];
      // A view with gaps may reach further than it has elements.
      const end = entry.strides === undefined ? offset + elementCount(shape) : buffer.length;
      return { dtype, shape, strides, data: buffer.subarray(offset, end) };
    });
    this.input = tensors[description.input];
    this.output = tensors[description.output];
    this.steps = description.steps.map(({ op, inputs, output, attributes }) => {
      const operands = inputs.map((number) => (number === null ? null : tensors[number]));
      return KERNELS[op](tensors[output], operands, attributes);
    });
  }

  /** Compute the result of one input; both are typed arrays. */
  run(values) {
    this.input.data.set(values);
    for (const step of this.steps) step();
    return this.output.data.slice();
  }
}
