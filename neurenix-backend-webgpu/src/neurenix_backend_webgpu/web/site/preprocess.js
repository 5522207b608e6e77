// From a photo to what the model takes, step by step as `neurenix predict` does it.

import { centerCrop, resize, sizeInProportion } from "./resample.js";

/**
 * What the model sees of a photo: the middle of it, at the model's size.
 *
 * @returns RGB bytes, `crop` x `crop`, row by row
 */
export function cropOf(image, { resize: shorter, crop: side, interpolation }) {
  const size = sizeInProportion(image.width, image.height, shorter);
  const { part, left, top } = centerCrop(size, side);
  const pixels = resize(image, size, part, interpolation);
  if (part.width === side && part.height === side) return pixels;
  const out = new Uint8Array(side * side * 3); // black where the photo does not reach
  for (let y = 0; y < part.height; y++) {
    const row = pixels.subarray(y * part.width * 3, (y + 1) * part.width * 3);
    out.set(row, ((top + y) * side + left) * 3);
  }
  return out;
}

/** The part of a photo that `cropOf` keeps, in fractions of its width and height. */
export function cropFrame(image, { resize: shorter, crop: side }) {
  const size = sizeInProportion(image.width, image.height, shorter);
  const { part } = centerCrop(size, side);
  return {
    left: part.left / size.width,
    top: part.top / size.height,
    width: part.width / size.width,
    height: part.height / size.height,
  };
}

/** Bytes (pixels of 3 channels) as normalised planes, in the arithmetic of 32-bit floats. */
export function normalise(pixels, { mean, std }) {
  const count = pixels.length / 3;
  const out = new Float32Array(pixels.length);
  for (let channel = 0; channel < 3; channel++) {
    const center = Math.fround(mean[mean.length === 1 ? 0 : channel]);
    const spread = Math.fround(std[std.length === 1 ? 0 : channel]);
    const values = new Float32Array(256);
    for (let byte = 0; byte < 256; byte++) {
      values[byte] = Math.fround(Math.fround(byte / 255) - center) / spread;
    }
    for (let i = 0; i < count; i++) out[channel * count + i] = values[pixels[3 * i + channel]];
  }
  return out;
}
