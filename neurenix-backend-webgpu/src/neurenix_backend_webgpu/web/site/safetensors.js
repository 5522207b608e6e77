// Reading the model's weights.

const ARRAYS = { F32: Float32Array, I32: Int32Array, BOOL: Uint8Array };

/**
 * The tensors of a file.
 *
 * @returns { array, bytes }: functions from a tensor's name to its elements, a typed array, and to
 *   its bytes; neither copies them
 */
export function readSafetensors(buffer) {
  const length = Number(new DataView(buffer).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
  const bytes = (name) => {
    const [begin, end] = header[name].data_offsets;
    return new Uint8Array(buffer, 8 + length + begin, end - begin);
  };
  const array = (name) => {
    const kind = ARRAYS[header[name].dtype];
    const found = bytes(name);
    // A tensor of smaller elements in front of it may have moved it.
    const aligned = found.byteOffset % kind.BYTES_PER_ELEMENT === 0 ? found : found.slice();
    return new kind(aligned.buffer, aligned.byteOffset, found.length / kind.BYTES_PER_ELEMENT);
  };
  return { array, bytes };
}
