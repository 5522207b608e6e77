// The files of a model: plan.json, and the weights that it names.

import { readSafetensors } from "./safetensors.js";

export const FORMAT = "neurenix-web-1";

/** What to tell the visitor when the model cannot be had. */
export class ModelError extends Error {}

async function get(name, options) {
  let response;
  try {
    response = await fetch(new URL(name, import.meta.url), options);
  } catch {
    throw new ModelError(`${name} could not be fetched. Is the server still there?`);
  }
  if (!response.ok) {
    throw new ModelError(`${name} could not be fetched: the server says ${response.status}.`);
  }
  return response;
}

/** Read plan.json; a newer one on the server is always seen. */
export async function loadPlan() {
  const response = await get("plan.json", { cache: "no-cache" });
  let plan;
  try {
    plan = await response.json();
  } catch {
    throw new ModelError("plan.json is damaged. Export the model again.");
  }
  if (plan.format !== FORMAT) {
    throw new ModelError(
      `plan.json is of the format ${plan.format}, and this page reads ${FORMAT}. ` +
        "Export the model again, and upload all files of the folder.",
    );
  }
  return plan;
}

/**
 * Read the weights.
 *
 * @param progress called with the bytes that are there, and with all
 * @returns what `readSafetensors` does
 */
export async function loadWeights({ file, bytes, sha256 }, progress) {
  // The digest in the address keeps weights of an earlier export out of the browser's cache.
  const response = await get(`${file}?${sha256}`);
  const content = new Uint8Array(bytes);
  let received = 0;
  const reader = response.body.getReader();
  for (;;) {
    let step;
    try {
      step = await reader.read();
    } catch {
      throw new ModelError(`${file} broke off after ${received} of ${bytes} bytes. Try again.`);
    }
    if (step.done) break;
    if (received + step.value.length <= bytes) content.set(step.value, received);
    received += step.value.length;
    progress(received, bytes);
  }
  if (received !== bytes) {
    throw new ModelError(
      `${file} has ${received} bytes where plan.json says ${bytes}. Upload all files of the ` +
        "exported folder together.",
    );
  }
  return readSafetensors(content.buffer);
}
