// All that takes time, apart from the page: loading the model, reading photos, computing.
//
// The page sends { kind: "load", backend }, { kind: "use", backend } and
// { kind: "classify", id, file }. It is told "progress", "ready", "failed", "answer" and
// "rejected".

import { probabilitiesOf } from "./answer.js";
import { openBackend } from "./backends.js";
import { altersPixels, decodePhoto, PhotoError } from "./decode.js";
import { loadPlan, loadWeights, ModelError } from "./model.js";
import { cropFrame, cropOf, normalise } from "./preprocess.js";

let plan = null;
let weights = null;
let backend = null;

async function load({ backend: wanted }) {
  plan = await loadPlan();
  postMessage({ kind: "described", plan: describe(plan) });
  weights = await loadWeights(plan.weights, (received, total) => {
    postMessage({ kind: "progress", received, total });
  });
  await use({ backend: wanted });
}

/** What the page shows of a plan; the program itself stays here. */
function describe({ title, classes, base, temperature, min_confidence, licence, made_with }) {
  return { title, classes, base, temperature, min_confidence, licence, made_with };
}

async function use({ backend: wanted, note = "" }) {
  backend?.close();
  const opened = await openBackend(wanted, plan, weights);
  backend = opened.backend;
  const { name, detail } = backend;
  postMessage({ kind: "ready", backend: name, detail, note: note || opened.note });
}

async function classify({ id, file }) {
  const began = performance.now();
  const photo = await decodePhoto(file);
  let pixels, frame;
  try {
    pixels = cropOf(photo, plan.preprocessing);
    frame = photo.isShownUpright ? cropFrame(photo, plan.preprocessing) : null;
  } finally {
    photo.close();
  }
  const prepared = performance.now();
  const logits = await compute(normalise(pixels, plan.preprocessing));
  const done = performance.now();
  postMessage({
    kind: "answer",
    id,
    backend: backend.name,
    probabilities: probabilitiesOf(logits, plan.temperature),
    frame,
    altered: altersPixels(),
    preparing_ms: prepared - began,
    computing_ms: done - prepared,
  });
}

/** Run the model; where the GPU has gone meanwhile, in plain JavaScript. */
async function compute(values) {
  try {
    return await backend.run(values);
  } catch (error) {
    if (backend.name === "javascript") throw error;
    await use({ backend: "javascript", note: `WebGPU stopped: ${error.message}.` });
    return backend.run(values);
  }
}

const HANDLERS = { load, use, classify };

// One message after the other: a photo waits for the model, and for the photo before it.
let queue = Promise.resolve();

self.addEventListener("message", ({ data }) => {
  queue = queue.then(() => HANDLERS[data.kind](data)).catch((error) => report(error, data));
});

function report(error, { kind, id }) {
  const expected = error instanceof PhotoError || error instanceof ModelError;
  const message = expected ? error.message : `Something went wrong: ${error.message}`;
  const answer = kind === "classify" ? { kind: "rejected", id } : { kind: "failed" };
  postMessage({ ...answer, message });
}
