// Resizing of RGB bytes, bit for bit as Pillow does it, which is what models were trained with.
//
// A pixel of the result is a weighted mean of those that its filter covers; where an image shrinks,
// the filter is as wide as a pixel of the result. Width and height are resized one after the other,
// each rounded to bytes; weights are integers of 22 bits after the point, so that sums fit 32 bits.

import { roundHalfEven } from "./kernels/functions.js";

const PRECISION_BITS = 22;
const HALF = 1 << (PRECISION_BITS - 1);

function triangle(x) {
  const distance = Math.abs(x);
  return distance < 1 ? 1 - distance : 0;
}

/** Keys' cubic convolution with a = -0.5. */
function cubic(x) {
  const a = -0.5;
  const distance = Math.abs(x);
  if (distance < 1) return ((a + 2) * distance - (a + 3)) * distance * distance + 1;
  if (distance < 2) return (((distance - 5) * distance + 8) * distance - 4) * a;
  return 0;
}

const FILTERS = {
  bilinear: { radius: 1, weigh: triangle },
  bicubic: { radius: 2, weigh: cubic },
};

/**
 * The weights that resample one axis.
 *
 * @returns for each place of the result where its pixels start and how many they are, and their
 *   weights, `taps` a place
 */
export function resamplingWeights(size, outSize, { radius, weigh }) {
  const scale = size / outSize;
  const width = Math.max(scale, 1);
  const support = radius * width;
  const taps = Math.ceil(support) * 2 + 1;
  const starts = new Int32Array(outSize);
  const counts = new Int32Array(outSize);
  const weights = new Int32Array(outSize * taps);
  const exact = new Float64Array(taps);
  for (let place = 0; place < outSize; place++) {
    const center = (place + 0.5) * scale;
    const start = Math.max(Math.trunc(center - support + 0.5), 0);
    const count = Math.min(Math.trunc(center + support + 0.5), size) - start;
    let sum = 0;
    for (let i = 0; i < count; i++) {
      exact[i] = weigh((i + start - center + 0.5) * (1 / width));
      sum += exact[i];
    }
    for (let i = 0; i < count; i++) {
      const weight = (exact[i] / sum) * (1 << PRECISION_BITS);
      weights[place * taps + i] = Math.trunc(weight < 0 ? weight - 0.5 : weight + 0.5);
    }
    starts[place] = start;
    counts[place] = count;
  }
  return { starts, counts, weights, taps };
}

function toByte(sum) {
  const value = sum >> PRECISION_BITS;
  return value < 0 ? 0 : value > 255 ? 255 : value;
}

/** Where each place of the result is taken from, without a filter. */
function nearestPlaces(size, outSize) {
  // Added up step by step, as Pillow does: it rounds differently from a product.
  const step = size / outSize;
  const places = new Int32Array(outSize);
  let position = step * 0.5;
  for (let place = 0; place < outSize; place++) {
    places[place] = Math.min(Math.trunc(position), size - 1);
    position += step;
  }
  return places;
}

/**
 * Resize an image, and keep a part of the result.
 *
 * @param image { width, height, rows(first, count) }: the RGBA bytes of a band of rows
 * @param size { width, height } of the result
 * @param part { left, top, width, height } of it, all inside
 * @returns the part's RGB bytes
 */
export function resize(image, size, part, interpolation) {
  if (interpolation === "nearest") return resizeNearest(image, size, part);
  const filter = FILTERS[interpolation];
  const across = resamplingWeights(image.width, size.width, filter);
  const down = resamplingWeights(image.height, size.height, filter);
  if (rowsComeFirst(image, size)) {
    const low = resizeHeight(image, 0, part, down);
    return withoutAlpha(resizeWidth(imageOf(low, image.width), 0, part.height, part, across));
  }
  const last = part.top + part.height - 1;
  const first = down.starts[part.top];
  const count = down.starts[last] + down.counts[last] - first;
  const narrow = resizeWidth(image, first, count, part, across);
  return withoutAlpha(resizeHeight(imageOf(narrow, part.width), first, part, down));
}

/**
 * Whether the height is resized before the width. The order shows in the rounding: Pillow takes
 * the other one where the height shrinks by more than twice as many pixels as the width (since
 * version 13; before, the width always came first).
 */
function rowsComeFirst(image, size) {
  const lost = image.height - size.height;
  return size.width !== image.width && lost > 0 && 2 * (image.width - size.width) < lost;
}

function imageOf(pixels, width) {
  const length = width * 4;
  const rows = (first, count) => pixels.subarray(first * length, (first + count) * length);
  return { width, rows };
}

function withoutAlpha(pixels) {
  const out = new Uint8Array((pixels.length / 4) * 3);
  for (let source = 0, target = 0; source < pixels.length; source += 4) {
    out[target++] = pixels[source];
    out[target++] = pixels[source + 1];
    out[target++] = pixels[source + 2];
  }
  return out;
}

const BAND_ROWS = 128; // rows of the image that are looked at together

/** The columns of the part, of some rows. */
function resizeWidth(image, first, count, part, { starts, counts, weights, taps }) {
  const out = new Uint8Array(count * part.width * 4);
  let target = 0;
  for (let band = 0; band < count; band += BAND_ROWS) {
    const height = Math.min(BAND_ROWS, count - band);
    const pixels = image.rows(first + band, height);
    for (let y = 0; y < height; y++) {
      const row = y * image.width * 4;
      for (let x = part.left; x < part.left + part.width; x++) {
        let red = HALF, green = HALF, blue = HALF;
        let source = row + starts[x] * 4;
        const from = x * taps;
        const to = from + counts[x];
        for (let tap = from; tap < to; tap++) {
          const weight = weights[tap];
          red = (red + pixels[source] * weight) | 0;
          green = (green + pixels[source + 1] * weight) | 0;
          blue = (blue + pixels[source + 2] * weight) | 0;
          source += 4;
        }
        out[target] = toByte(red);
        out[target + 1] = toByte(green);
        out[target + 2] = toByte(blue);
        target += 4;
      }
    }
  }
  return out;
}

/** The rows of the part, at the image's width; the image's own rows begin with `first`. */
function resizeHeight(image, first, part, { starts, counts, weights, taps }) {
  const length = image.width * 4;
  const out = new Uint8Array(part.height * length);
  const sums = new Int32Array(length);
  for (let y = 0; y < part.height; y++) {
    const place = part.top + y;
    sums.fill(HALF);
    for (let band = 0; band < counts[place]; band += BAND_ROWS) {
      const height = Math.min(BAND_ROWS, counts[place] - band);
      const pixels = image.rows(starts[place] + band - first, height);
      for (let i = 0; i < height; i++) {
        const weight = weights[place * taps + band + i];
        for (let x = 0; x < length; x++) sums[x] += pixels[i * length + x] * weight;
      }
    }
    for (let x = 0; x < length; x++) out[y * length + x] = toByte(sums[x]);
  }
  return out;
}

function resizeNearest(image, size, part) {
  const columns = nearestPlaces(image.width, size.width);
  const rows = nearestPlaces(image.height, size.height);
  const out = new Uint8Array(part.width * part.height * 3);
  let target = 0;
  for (let y = part.top; y < part.top + part.height; y++) {
    const pixels = image.rows(rows[y], 1);
    for (let x = part.left; x < part.left + part.width; x++) {
      const source = columns[x] * 4;
      for (let channel = 0; channel < 3; channel++) out[target++] = pixels[source + channel];
    }
  }
  return out;
}

/** The size whose shorter side is `shorter`, the longer one in proportion, rounded down. */
export function sizeInProportion(width, height, shorter) {
  const longer = Math.trunc((shorter * Math.max(width, height)) / Math.min(width, height));
  return height <= width
    ? { width: longer, height: shorter }
    : { width: shorter, height: longer };
}

/**
 * The square in the middle of an image.
 *
 * @returns the part of the image that is in the square, and where it lies there: a smaller image
 *   stands in the middle
 */
export function centerCrop(size, side) {
  const along = (length) => {
    const missing = Math.max(0, side - length);
    const before = Math.floor(missing / 2);
    const start = roundHalfEven((length + missing - side) / 2) - before;
    return { start: Math.max(start, 0), count: Math.min(length, side), at: before };
  };
  const x = along(size.width);
  const y = along(size.height);
  return {
    part: { left: x.start, top: y.start, width: x.count, height: y.count },
    left: x.at,
    top: y.at,
  };
}
