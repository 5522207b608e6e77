// A model on WebGPU: the work that Neurenix's WebGPU backend recorded, repeated.
//
// plan.json lists shaders, buffers and steps. All but the input is the same in every run:
// pipelines, parameters and bind groups are made once.

/** Why WebGPU is not used. */
export class Unavailable extends Error {}

const SLOT_BYTES = 256; // uniform buffers are bound at multiples of this

export class WebGpu {
  name = "webgpu";

  /**
   * @param work the entry "webgpu" of plan.json
   * @param constants a function from a tensor's name to its bytes
   * @param software whether an adapter that emulates a GPU will do
   */
  static async open(work, constants, software) {
    const adapter = await findAdapter(software);
    const device = await adapter.requestDevice();
    const opened = new WebGpu(adapter, device, work);
    device.pushErrorScope("validation");
    device.pushErrorScope("out-of-memory");
    await opened.#prepare(work, constants);
    for (const error of [await device.popErrorScope(), await device.popErrorScope()]) {
      if (error) {
        device.destroy();
        throw new Unavailable(error.message);
      }
    }
    return opened;
  }

  constructor(adapter, device, work) {
    const { description, architecture, vendor } = adapter.info;
    this.detail = description || [vendor, architecture].filter(Boolean).join(" ");
    this.device = device;
    this.work = work;
    this.trouble = null;
    device.lost.then(({ message }) => (this.trouble ??= `the GPU was lost: ${message}`));
    device.addEventListener("uncapturederror", ({ error }) => (this.trouble ??= error.message));
  }

  async #prepare({ shaders, buffers, steps, output }, constants) {
    const { device } = this;
    // The digest in the address keeps shaders of an earlier export out of the browser's cache.
    const texts = await Promise.all(
      shaders.map(({ file, sha256 }) => fetchText(`wgsl/${file}?${sha256}`)),
    );
    const pipelines = await Promise.all(
      shaders.map((shader, number) => compile(device, shader, texts[number])),
    );
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    this.buffers = buffers.map((size) => device.createBuffer({ size, usage }));
    for (const [name, number] of Object.entries(this.work.constants)) {
      device.queue.writeBuffer(this.buffers[number], 0, wholeWords(constants(name)));
    }
    const parameters = this.#parameters(steps);
    this.steps = steps.map((step, number) => {
      if (step.copy) return step;
      const { pipeline, layout } = pipelines[step.shader];
      const parts = step.parts.map(([buffer, offset, size]) => ({
        buffer: this.buffers[buffer],
        offset,
        size,
      }));
      const resources = [parameters(number), ...parts];
      const entries = resources.map((resource, binding) => ({ binding, resource }));
      return { pipeline, group: device.createBindGroup({ layout, entries }), groups: step.groups };
    });
    this.staging = device.createBuffer({
      size: output.size,
      usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
    });
  }

  /** Write the parameters of all steps into one buffer; returns where those of a step lie. */
  #parameters(steps) {
    const each = steps.map(({ parameters }) => bytesOf(parameters ?? ""));
    const starts = [];
    let end = 0;
    for (const { length } of each) {
      starts.push(end);
      end += Math.ceil(length / SLOT_BYTES) * SLOT_BYTES;
    }
    const all = new Uint8Array(Math.max(end, SLOT_BYTES));
    each.forEach((bytes, number) => all.set(bytes, starts[number]));
    const usage = GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST;
    const buffer = this.device.createBuffer({ size: all.length, usage });
    this.device.queue.writeBuffer(buffer, 0, all);
    // The size of a struct of words in a uniform buffer is a multiple of 16.
    return (number) => ({
      buffer,
      offset: starts[number],
      size: Math.ceil(each[number].length / 16) * 16,
    });
  }

  /** Compute the result of one input; both are typed arrays of 32-bit floats. */
  async run(values) {
    const { device, work } = this;
    device.queue.writeBuffer(this.buffers[work.input.buffer], work.input.offset, values);
    device.pushErrorScope("validation");
    const encoder = device.createCommandEncoder();
    let pass = null;
    for (const step of this.steps) {
      if (step.copy) {
        pass?.end();
        pass = null;
        const [[from, fromStart, size], [to, toStart]] = step.copy;
        const [source, target] = [this.buffers[from], this.buffers[to]];
        encoder.copyBufferToBuffer(source, fromStart, target, toStart, size);
        continue;
      }
      pass ??= encoder.beginComputePass();
      pass.setPipeline(step.pipeline);
      pass.setBindGroup(0, step.group);
      pass.dispatchWorkgroups(...step.groups);
    }
    pass?.end();
    const { buffer, offset, size } = work.output;
    encoder.copyBufferToBuffer(this.buffers[buffer], offset, this.staging, 0, size);
    device.queue.submit([encoder.finish()]);
    const [error] = await Promise.all([
      device.popErrorScope(),
      this.staging.mapAsync(GPUMapMode.READ),
    ]);
    const result = new Float32Array(this.staging.getMappedRange().slice(0));
    this.staging.unmap();
    const trouble = error?.message ?? this.trouble;
    if (trouble !== null) throw new Error(trouble);
    return result;
  }

  close() {
    this.device.destroy();
  }
}

async function findAdapter(software) {
  if (!self.isSecureContext) {
    throw new Unavailable("browsers allow it on pages from https and from localhost only");
  }
  if (!navigator.gpu) throw new Unavailable("this browser does not have it");
  const adapter = await navigator.gpu.requestAdapter({ powerPreference: "high-performance" });
  if (adapter === null) throw new Unavailable("this browser finds no GPU for it");
  const emulated = adapter.info.isFallbackAdapter ?? adapter.isFallbackAdapter; // of older browsers
  if (emulated && !software) {
    throw new Unavailable("this browser emulates it on the processor");
  }
  return adapter;
}

async function compile(device, { label, written }, code) {
  const kinds = written.map((isWritten) => (isWritten ? "storage" : "read-only-storage"));
  const entries = ["uniform", ...kinds].map((type, binding) => ({
    binding,
    visibility: GPUShaderStage.COMPUTE,
    buffer: { type },
  }));
  const layout = device.createBindGroupLayout({ label, entries });
  const pipeline = await device.createComputePipelineAsync({
    label,
    layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
    compute: { module: device.createShaderModule({ label, code }), entryPoint: "main" },
  });
  return { pipeline, layout };
}

async function fetchText(name) {
  const response = await fetch(new URL(name, import.meta.url));
  if (!response.ok) {
    const file = name.replace(/\?.*/, "");
    throw new Unavailable(`of ${file} the server says ${response.status}`);
  }
  return response.text();
}

function bytesOf(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

/** Writes to a GPU's memory are of whole words. */
function wholeWords(bytes) {
  if (bytes.byteLength % 4 === 0) return bytes;
  const padded = new Uint8Array(Math.ceil(bytes.byteLength / 4) * 4);
  padded.set(bytes);
  return padded;
}
