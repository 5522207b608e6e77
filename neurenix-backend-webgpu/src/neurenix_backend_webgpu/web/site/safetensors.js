// Reading the model's weights.

const ARRAYS = { F32: Float32Array, I32: Int32Array, BOOL: Uint8Array };

/** The tensors of a file, without copying them: a function from a name to its elements. */
export function readSafetensors(buffer) {
  const length = Number(new DataView(buffer).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
  return (name) => {
    const { dtype, data_offsets: [begin, end] } = header[name];
    const start = 8 + length + begin;
    const array = ARRAYS[dtype];
    const count = (end - begin) / array.BYTES_PER_ELEMENT;
    // A writer may pack tensors of other sizes in front of this one.
    if (start % array.BYTES_PER_ELEMENT === 0) return new array(buffer, start, count);
    return new array(buffer.slice(start, 8 + length + end));
  };
}
