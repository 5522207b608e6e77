// The orientation that a camera recorded, where the browser does not apply it itself.
//
// Every browser turns JPEG files upright. Of PNG and WebP files some do, some do not, and none can
// be asked: a tiny picture of the same kind tells.

const ORIENTATION_TAG = 0x0112;

// 2 x 1 pixels with the orientation 6: 1 x 2 where the browser applies it.
const SAMPLES = {
  png:
    "iVBORw0KGgoAAAANSUhEUgAAAAIAAAABCAIAAAB7QOjdAAAAGmVYSWZNTQAqAAAACAABARIAAwAAAAEABgAAAAAAANZn" +
    "S2kAAAAPSURBVHicY/zPwMDAwAAABggBActHdnUAAAAASUVORK5CYII=",
  webp:
    "UklGRlAAAABXRUJQVlA4WAoAAAAIAAAAAQAAAAAAVlA4TA8AAAAvAQAAAAcQ/Y/+ByKi/wEARVhJRhoAAABNTQAqAAAA" +
    "CAABARIAAwAAAAEABgAAAAAAAA==",
};

/** The orientation, 1 to 8, that is still to be applied to what the browser decodes of a file. */
export async function orientationLeft(file) {
  const kind = await kindOf(file);
  if (kind === null) return 1;
  const recorded = await recordedOrientation(file, kind);
  return recorded === 1 || (await browserTurns(kind)) ? 1 : recorded;
}

async function browserTurns(kind) {
  const bytes = Uint8Array.from(atob(SAMPLES[kind]), (character) => character.charCodeAt(0));
  const bitmap = await createImageBitmap(new Blob([bytes]), { imageOrientation: "from-image" });
  const turned = bitmap.width === 1;
  bitmap.close();
  return turned;
}

async function bytesAt(file, start, length) {
  return new DataView(await file.slice(start, start + length).arrayBuffer());
}

function nameAt(view, start) {
  if (start + 4 > view.byteLength) return "";
  return String.fromCharCode(...[0, 1, 2, 3].map((i) => view.getUint8(start + i)));
}

async function kindOf(file) {
  const head = await bytesAt(file, 0, 12);
  if (nameAt(head, 0) === "RIFF" && nameAt(head, 8) === "WEBP") return "webp";
  return nameAt(head, 0) === "\x89PNG" ? "png" : null;
}

// Where the first chunk begins, where its name and length stand, and what follows its content.
const CHUNKS = {
  png: { first: 8, name: 4, length: 0, littleEndian: false, exif: "eXIf", rest: () => 4 },
  webp: { first: 12, name: 0, length: 4, littleEndian: true, exif: "EXIF", rest: (n) => n % 2 },
};

async function recordedOrientation(file, kind) {
  const { first, name, length, littleEndian, exif, rest } = CHUNKS[kind];
  for (let place = first; place + 8 <= file.size; ) {
    const head = await bytesAt(file, place, 8);
    const size = head.getUint32(length, littleEndian);
    if (nameAt(head, name) === exif) return exifOrientation(await bytesAt(file, place + 8, size));
    place += 8 + size + rest(size);
  }
  return 1;
}

/** Read the tag in EXIF data, which is a small TIFF file; 1 where it is not there or damaged. */
export function exifOrientation(view) {
  const start = nameAt(view, 0) === "Exif" ? 6 : 0; // a marker of JPEG's, which some copy along
  if (view.byteLength < start + 8) return 1;
  const littleEndian = view.getUint16(start) === 0x4949;
  const directory = start + view.getUint32(start + 4, littleEndian);
  if (directory + 2 > view.byteLength) return 1;
  const count = view.getUint16(directory, littleEndian);
  for (let i = 0; i < count; i++) {
    const entry = directory + 2 + 12 * i;
    if (entry + 12 > view.byteLength) return 1;
    if (view.getUint16(entry, littleEndian) === ORIENTATION_TAG) {
      const value = view.getUint16(entry + 8, littleEndian);
      return value >= 1 && value <= 8 ? value : 1;
    }
  }
  return 1;
}

/** The size of an upright picture, and the canvas transform that draws it so. */
export function upright(width, height, orientation) {
  const turned = orientation >= 5;
  const [w, h] = turned ? [height, width] : [width, height];
  const flipX = [2, 3, 6, 7].includes(orientation);
  const flipY = [3, 4, 7, 8].includes(orientation);
  const [x, y] = [flipX ? -1 : 1, flipY ? -1 : 1];
  const shift = [flipX ? w : 0, flipY ? h : 0];
  return {
    width: w,
    height: h,
    transform: turned ? [0, y, x, 0, ...shift] : [x, 0, 0, y, ...shift],
  };
}
