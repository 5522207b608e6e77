// The page: takes a photo, hands it to the worker, shows the answer.

import { ranked } from "./answer.js";

const SHOWN = 5; // classes that are shown without asking

const element = (id) => document.getElementById(id);
const NAMES = { javascript: "plain JavaScript", webgpu: "WebGPU" };

const state = { plan: null, ready: false, failed: false, id: 0, file: null, url: null };
let worker;

function start() {
  element("not-started").hidden = true;
  element("app").hidden = false;
  const missing = missingFeatures();
  if (missing.length > 0) {
    fail(`This browser is too old for this page: it has no ${missing.join(", no ")}.`);
    return;
  }
  worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
  worker.addEventListener("message", ({ data }) => HANDLERS[data.kind](data));
  worker.addEventListener("error", (event) => {
    fail(`The page's worker stopped: ${event.message ?? "its script could not be loaded"}.`);
  });
  listen();
  const asked = new URLSearchParams(location.search).get("backend");
  const options = [...element("backend").options].map((option) => option.value);
  if (options.includes(asked)) element("backend").value = asked;
  element("loading").hidden = false;
  worker.postMessage({ kind: "load", backend: element("backend").value });
}

function missingFeatures() {
  const needed = {
    workers: "Worker",
    "image bitmaps": "createImageBitmap",
    "canvases for workers": "OffscreenCanvas",
  };
  return Object.keys(needed).filter((what) => !(needed[what] in window));
}

function listen() {
  element("photo").addEventListener("change", ({ target }) => {
    take(target.files);
    target.value = ""; // so that the same file may be chosen again
  });
  let depth = 0; // enter and leave come for every element that is crossed
  const over = (by) => {
    depth = by === 0 ? 0 : depth + by;
    element("drop").classList.toggle("over", depth > 0);
  };
  document.addEventListener("dragenter", (event) => {
    event.preventDefault();
    over(1);
  });
  document.addEventListener("dragleave", () => over(-1));
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault(); // else the browser would open the photo in the page's place
    over(0);
    take(event.dataTransfer.files);
  });
  document.addEventListener("paste", (event) => take(event.clipboardData.files));
  element("backend").addEventListener("change", ({ target }) => {
    worker.postMessage({ kind: "use", backend: target.value });
    if (state.file) classify();
  });
}

/** Look at the first of the files that were chosen, dropped or pasted. */
function take(files) {
  if (files.length === 0) return;
  [state.file] = files;
  if (state.url) URL.revokeObjectURL(state.url);
  state.url = URL.createObjectURL(state.file);
  const more = files.length > 1 ? ` (the first of ${files.length})` : "";
  element("preview").src = state.url;
  element("preview").alt = `The photo ${state.file.name}`;
  element("caption").textContent = state.file.name + more;
  element("frame").hidden = true;
  element("result").hidden = false;
  clearAnswer();
  classify();
}

function classify() {
  if (state.failed) return;
  state.id += 1;
  element("answers").classList.add("busy");
  say(state.ready ? "Looking at the photo…" : "Waiting for the model…");
  worker.postMessage({ kind: "classify", id: state.id, file: state.file });
}

const HANDLERS = {
  described({ plan }) {
    state.plan = plan;
    document.title = plan.title;
    element("title").textContent = plan.title;
    const licence = plan.licence ? ` Licence of the weights: ${plan.licence}.` : "";
    const count = plan.classes.length;
    element("about").textContent =
      `Model: ${plan.base}, ${count} ${count === 1 ? "class" : "classes"}. ` +
      `Made with ${plan.made_with}.${licence}`;
  },

  progress({ received, total }) {
    element("progress").max = total;
    element("progress").value = received;
  },

  ready({ backend, detail, note }) {
    state.ready = true;
    element("loading").hidden = true;
    element("computing").hidden = false;
    const what = detail ? `${NAMES[backend]} (${detail})` : NAMES[backend];
    element("backend-note").textContent = `Now: ${what}. ${note}`;
    document.body.dataset.backend = backend;
    if (state.file === null) say("The model is ready.");
  },

  failed({ message }) {
    fail(message);
  },

  answer({ id, backend, probabilities, frame, altered, preparing_ms, computing_ms }) {
    if (id !== state.id) return; // another photo has been chosen meanwhile
    say("");
    showAnswer(ranked(state.plan.classes, probabilities));
    showFrame(frame);
    element("timing").textContent =
      `Computed with ${NAMES[backend]} in ${duration(computing_ms)}, ` +
      `after ${duration(preparing_ms)} of reading the photo.`;
    element("altered").hidden = !altered;
    element("answers").dataset.backend = backend;
  },

  rejected({ id, message }) {
    if (id !== state.id) return;
    element("result").hidden = true;
    state.file = null;
    say(message, true);
  },
};

function showAnswer(answers) {
  const [best] = answers;
  const least = state.plan.min_confidence;
  const unsure = least !== null && best.probability < least;
  element("answer").textContent = unsure
    ? `Unsure: no class reaches ${percent(least)}`
    : `${best.name}, ${percent(best.probability)}`;
  element("answers").dataset.unsure = unsure;
  const rest = answers.slice(SHOWN);
  element("bars").replaceChildren(...answers.slice(0, SHOWN).map(bar));
  element("more-bars").replaceChildren(...rest.map((each) => bar(each, 1)));
  element("more").hidden = rest.length === 0;
  element("more-summary").textContent = `${rest.length} more`;
  element("answers").classList.remove("busy");
  document.body.classList.add("answered");
}

function bar({ name, probability }, index) {
  const item = document.createElement("li");
  item.classList.toggle("first", index === 0);
  item.dataset.class = name;
  item.dataset.probability = probability;
  const [label, share, track, fill] = ["name", "share", "track", "fill"].map((part) => {
    const piece = document.createElement(part === "name" || part === "share" ? "span" : "div");
    piece.className = part;
    return piece;
  });
  label.textContent = name;
  share.textContent = percent(probability);
  fill.style.width = `${100 * probability}%`;
  track.setAttribute("aria-hidden", "true");
  track.append(fill);
  item.append(label, share, track);
  return item;
}

/** Outline the part that was looked at, where the browser shows the photo as it was read. */
function showFrame(part) {
  const frame = element("frame");
  frame.hidden = part === null;
  if (part === null) return;
  const { left, top, width, height } = part;
  frame.style.left = `${100 * left}%`;
  frame.style.top = `${100 * top}%`;
  frame.style.width = `${100 * width}%`;
  frame.style.height = `${100 * height}%`;
}

function clearAnswer() {
  element("answer").textContent = "";
  element("timing").textContent = "";
  element("bars").replaceChildren();
  element("more").hidden = true;
  delete element("answers").dataset.backend;
}

function say(message, wrong = false) {
  element("status").textContent = message;
  element("status").classList.toggle("wrong", wrong);
}

function fail(message) {
  state.failed = true;
  element("loading").hidden = true;
  element("drop").hidden = true;
  element("result").hidden = true;
  say("");
  element("failure").textContent = message;
  element("failure").hidden = false;
}

/** Two digits after the point near the ends, where they tell something; one in between. */
function percent(share) {
  const value = 100 * share;
  const digits = value < 1 || value > 99 ? 2 : 1;
  return `${value.toFixed(digits)} %`;
}

function duration(milliseconds) {
  return milliseconds < 1000
    ? `${Math.round(milliseconds)} ms`
    : `${(milliseconds / 1000).toFixed(1)} s`;
}

start();
