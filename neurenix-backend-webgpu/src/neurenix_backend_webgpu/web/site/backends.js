// What computes: WebGPU where the browser has it, else plain JavaScript.

import { Program } from "./program.js";
import { Unavailable, WebGpu } from "./webgpu.js";

class JavaScript {
  name = "javascript";
  detail = "";

  constructor(plan, weights) {
    this.program = new Program(plan.program, weights.array);
  }

  async run(values) {
    return this.program.run(values);
  }

  close() {}
}

/**
 * Open what is wanted, or plain JavaScript.
 *
 * @param wanted "auto", "webgpu" or "javascript"
 * @returns { backend, note }: the note says why it is not WebGPU, where that was not wanted so
 */
export async function openBackend(wanted, plan, weights) {
  let note = "";
  if (wanted !== "javascript") {
    try {
      if (!plan.webgpu) throw new Unavailable("the model was exported without it");
      const software = wanted === "webgpu";
      return { backend: await WebGpu.open(plan.webgpu, weights.bytes, software), note };
    } catch (error) {
      note = `WebGPU is not used: ${error.message}.`;
    }
  }
  return { backend: new JavaScript(plan, weights), note };
}
