// From a file to pixels, by the browser's decoders.

import { orientationLeft, upright } from "./orientation.js";

/** What to tell the visitor when a photo cannot be read. */
export class PhotoError extends Error {}

// The limit of `neurenix predict`: the RGB bytes alone of more would take half a gigabyte.
const MAX_PIXELS = 178956970;

// Values as they stand in the file, as `neurenix predict` reads them: no colour profile is applied,
// colours are not multiplied by their opacity. The orientation that a camera recorded is applied.
const AS_STORED = {
  colorSpaceConversion: "none",
  imageOrientation: "from-image",
  premultiplyAlpha: "none",
};

const UNREAD_FORMATS = [
  { name: "TIFF", starts: [[0x49, 0x49, 0x2a, 0x00], [0x4d, 0x4d, 0x00, 0x2a]] },
  { name: "PDF", starts: [[0x25, 0x50, 0x44, 0x46]] },
];

/** Read a photo; call `close` when its pixels are no longer needed. */
export async function decodePhoto(file) {
  if (file.size === 0) throw new PhotoError("The file is empty.");
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, AS_STORED);
  } catch {
    throw new PhotoError(await explain(file));
  }
  if (bitmap.width * bitmap.height > MAX_PIXELS) {
    const size = `${bitmap.width} × ${bitmap.height}`;
    bitmap.close();
    throw new PhotoError(`The photo is too large: ${size} pixels.`);
  }
  return new Photo(bitmap, await orientationLeft(file));
}

/**
 * Whether the browser alters what pages read of a canvas: some do, so that nobody can recognise
 * them by how they draw.
 */
export function altersPixels() {
  const side = 64;
  const context = contextOf(new OffscreenCanvas(side, side));
  context.fillStyle = "rgb(50 100 150)";
  context.fillRect(0, 0, side, side);
  const { data } = context.getImageData(0, 0, side, side);
  const expected = [50, 100, 150, 255];
  return data.some((value, index) => value !== expected[index % 4]);
}

function contextOf(canvas) {
  const context = canvas.getContext("2d", {
    alpha: false,
    colorSpace: "srgb",
    willReadFrequently: true, // the canvas stays in memory, not on the GPU
  });
  context.imageSmoothingEnabled = false; // pixels stay what they are when they are turned
  return context;
}

async function explain(file) {
  const head = new Uint8Array(await file.slice(0, 4).arrayBuffer());
  const known = UNREAD_FORMATS.find(({ starts }) =>
    starts.some((start) => start.every((byte, index) => head[index] === byte)),
  );
  const problem = known
    ? `This browser cannot read ${known.name} files.`
    : "The file is damaged, or no photo.";
  return `${problem} Choose a JPEG, PNG or WebP photo.`;
}

/** A photo whose pixels are read band by band, so that no canvas is too large for the browser. */
class Photo {
  constructor(bitmap, orientation) {
    const { width, height, transform } = upright(bitmap.width, bitmap.height, orientation);
    this.bitmap = bitmap;
    this.width = width;
    this.height = height;
    this.transform = transform;
    /** Whether the browser shows the file as it is read here. */
    this.isShownUpright = orientation === 1;
    this.canvas = null;
  }

  /** The RGBA bytes of some rows, transparency laid over white. */
  rows(first, count) {
    if (this.canvas === null || this.canvas.height < count) {
      this.canvas = new OffscreenCanvas(this.width, count);
      this.context = contextOf(this.canvas);
    }
    const [a, b, c, d, left, top] = this.transform;
    this.context.resetTransform();
    this.context.fillStyle = "white";
    this.context.fillRect(0, 0, this.width, count);
    this.context.setTransform(a, b, c, d, left, top - first);
    this.context.drawImage(this.bitmap, 0, 0);
    return this.context.getImageData(0, 0, this.width, count).data;
  }

  close() {
    this.bitmap.close();
  }
}
