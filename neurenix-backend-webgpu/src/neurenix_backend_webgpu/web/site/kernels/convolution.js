// Two-dimensional convolution: packed weights times packed windows, in tiles of 4 channels by
// 3 pixels. So many sums fit the registers of a processor beside their operands; one more row or
// column is slower again. Sums are JavaScript's own doubles, which costs nothing here.

const ROWS = 4;
const COLUMNS = 3;
// Pixels whose windows are packed at a time: few enough for the cache between two reads.
const BLOCK = 32 * COLUMNS;

/** Lay out the weights (O, C, KH, KW) of each group as panels of 4 channels, zeros at the end. */
function packWeights(weight, groups) {
  const [channels] = weight.shape;
  const depth = weight.data.length / channels;
  const perGroup = channels / groups;
  const panels = Math.ceil(perGroup / ROWS);
  const packed = new Float32Array(groups * panels * depth * ROWS);
  for (let channel = 0; channel < channels; channel++) {
    const group = Math.floor(channel / perGroup);
    const row = channel - group * perGroup;
    const start = (group * panels + Math.floor(row / ROWS)) * depth * ROWS + (row % ROWS);
    for (let k = 0; k < depth; k++) {
      packed[start + k * ROWS] = weight.data[channel * depth + k];
    }
  }
  return packed;
}

/** Add up one tile: `sums[3 r + c]` of weights[k][r] * windows[k][c]. */
function multiplyTile(weights, w, windows, x, depth, sums) {
  let a0 = 0, a1 = 0, a2 = 0;
  let b0 = 0, b1 = 0, b2 = 0;
  let c0 = 0, c1 = 0, c2 = 0;
  let d0 = 0, d1 = 0, d2 = 0;
  for (let k = 0; k < depth; k++) {
    const wa = weights[w], wb = weights[w + 1], wc = weights[w + 2], wd = weights[w + 3];
    w += ROWS;
    let value = windows[x];
    a0 += wa * value; b0 += wb * value; c0 += wc * value; d0 += wd * value;
    value = windows[x + 1];
    a1 += wa * value; b1 += wb * value; c1 += wc * value; d1 += wd * value;
    value = windows[x + 2];
    a2 += wa * value; b2 += wb * value; c2 += wc * value; d2 += wd * value;
    x += COLUMNS;
  }
  sums[0] = a0; sums[1] = a1; sums[2] = a2;
  sums[3] = b0; sums[4] = b1; sums[5] = b2;
  sums[6] = c0; sums[7] = c1; sums[8] = c2;
  sums[9] = d0; sums[10] = d1; sums[11] = d2;
}

/** x (N, C, H, W), weight (O, C / groups, KH, KW), bias (O) or null, to out (N, O, OH, OW). */
export function conv2d(out, [x, weight, bias], { stride, padding, dilation, groups }) {
  const [batch, inChannels, height, width] = x.shape;
  const [outChannels, groupChannels, kernelHeight, kernelWidth] = weight.shape;
  const [outHeight, outWidth] = out.shape.slice(2);
  const [[top, bottom], [left, right]] = padding;
  const paddedHeight = height + top + bottom;
  const paddedWidth = width + left + right;
  const isPadded = top + bottom + left + right > 0;
  const depth = groupChannels * kernelHeight * kernelWidth;
  const pixels = outHeight * outWidth;
  const perGroup = outChannels / groups;
  const panels = Math.ceil(perGroup / ROWS);
  const weights = packWeights(weight, groups);

  // Where the elements of a window lie from its corner, and where each pixel's corner lies.
  const steps = new Int32Array(depth);
  for (let channel = 0, k = 0; channel < groupChannels; channel++) {
    for (let i = 0; i < kernelHeight; i++) {
      for (let j = 0; j < kernelWidth; j++) {
        const row = channel * paddedHeight + i * dilation[0];
        steps[k++] = row * paddedWidth + j * dilation[1];
      }
    }
  }
  const corners = new Int32Array(pixels);
  for (let p = 0; p < pixels; p++) {
    const row = Math.floor(p / outWidth) * stride[0];
    corners[p] = row * paddedWidth + (p % outWidth) * stride[1];
  }
  const windows = new Float32Array(BLOCK * depth);
  const sums = new Float64Array(ROWS * COLUMNS);

  function packWindows(source, offset, first, count) {
    for (let tile = 0; tile < count; tile += COLUMNS) {
      // The last tile may be short: its last pixel is repeated, and not written.
      const last = pixels - 1;
      const c0 = offset + corners[first + tile];
      const c1 = offset + corners[Math.min(first + tile + 1, last)];
      const c2 = offset + corners[Math.min(first + tile + 2, last)];
      let place = tile * depth;
      for (let k = 0; k < depth; k++) {
        const step = steps[k];
        windows[place] = source[step + c0];
        windows[place + 1] = source[step + c1];
        windows[place + 2] = source[step + c2];
        place += COLUMNS;
      }
    }
  }

  function writeTile(channel, rows, target, columns) {
    for (let r = 0; r < rows; r++) {
      const start = bias === null ? 0 : bias.data[channel + r];
      for (let c = 0; c < columns; c++) {
        out.data[target + r * pixels + c] = sums[r * COLUMNS + c] + start;
      }
    }
  }

  function convolve(source, offset, sample, group) {
    for (let first = 0; first < pixels; first += BLOCK) {
      const count = Math.min(BLOCK, pixels - first);
      packWindows(source, offset, first, count);
      for (let panel = 0; panel < panels; panel++) {
        const channel = group * perGroup + panel * ROWS;
        const rows = Math.min(ROWS, perGroup - panel * ROWS);
        const panelStart = (group * panels + panel) * depth * ROWS;
        for (let tile = 0; tile < count; tile += COLUMNS) {
          multiplyTile(weights, panelStart, windows, tile * depth, depth, sums);
          const target = (sample * outChannels + channel) * pixels + first + tile;
          writeTile(channel, rows, target, Math.min(COLUMNS, count - tile));
        }
      }
    }
  }

  const padded = isPadded ? new Float32Array(inChannels * paddedHeight * paddedWidth) : null;
  const sampleSize = inChannels * height * width;

  return () => {
    for (let sample = 0; sample < batch; sample++) {
      let source = x.data.subarray(sample * sampleSize, (sample + 1) * sampleSize);
      if (isPadded) {
        // The border was zeros from the start, and is never written.
        for (let row = 0; row < inChannels * height; row++) {
          const channel = Math.floor(row / height);
          const target = channel * paddedHeight + top + (row - channel * height);
          const values = source.subarray(row * width, (row + 1) * width);
          padded.set(values, target * paddedWidth + left);
        }
        source = padded;
      }
      for (let group = 0; group < groups; group++) {
        const offset = group * groupChannels * paddedHeight * paddedWidth;
        convolve(source, offset, sample, group);
      }
    }
  };
}
