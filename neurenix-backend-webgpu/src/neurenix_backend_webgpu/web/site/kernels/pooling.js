// Pooling over windows of images (N, C, H, W).

function planesOf(x, out) {
  const [batch, channels, height, width] = x.shape;
  const [outHeight, outWidth] = out.shape.slice(2);
  return { planes: batch * channels, height, width, outHeight, outWidth };
}

/** The largest value of each window; NaN where there is one. */
function maxPool2d(out, [x], { kernel_size: kernel, stride, padding, dilation }) {
  const { planes, height, width, outHeight, outWidth } = planesOf(x, out);
  const [[top], [left]] = padding;
  return () => {
    let target = 0;
    for (let plane = 0; plane < planes; plane++) {
      const source = plane * height * width;
      for (let oy = 0; oy < outHeight; oy++) {
        for (let ox = 0; ox < outWidth; ox++) {
          let best = -Infinity;
          for (let i = 0; i < kernel[0]; i++) {
            const y = oy * stride[0] - top + i * dilation[0];
            if (y < 0 || y >= height) continue;
            for (let j = 0; j < kernel[1]; j++) {
              const column = ox * stride[1] - left + j * dilation[1];
              if (column < 0 || column >= width) continue;
              const value = x.data[source + y * width + column];
              if (value > best || value !== value) best = value;
            }
          }
          out.data[target++] = best;
        }
      }
    }
  };
}

/** Means of boxes [top, bottom) x [left, right) of each plane, which `boxAt` names. */
function meanOfBoxes(out, x, boxAt) {
  const { planes, height, width, outHeight, outWidth } = planesOf(x, out);
  const boxes = [];
  for (let oy = 0; oy < outHeight; oy++) {
    for (let ox = 0; ox < outWidth; ox++) boxes.push(boxAt(oy, ox, height, width));
  }
  return () => {
    let target = 0;
    for (let plane = 0; plane < planes; plane++) {
      const source = plane * height * width;
      for (const { top, bottom, left, right, count } of boxes) {
        let sum = 0;
        for (let y = top; y < bottom; y++) {
          for (let column = left; column < right; column++) {
            sum += x.data[source + y * width + column];
          }
        }
        out.data[target++] = sum / count;
      }
    }
  };
}

function avgPool2d(out, [x], attributes) {
  const { kernel_size: kernel, stride, padding, count_include_pad: all } = attributes;
  return meanOfBoxes(out, x, (oy, ox, height, width) => {
    const y = oy * stride[0] - padding[0][0];
    const column = ox * stride[1] - padding[1][0];
    const [top, bottom] = [Math.max(y, 0), Math.min(y + kernel[0], height)];
    const [left, right] = [Math.max(column, 0), Math.min(column + kernel[1], width)];
    const count = all ? kernel[0] * kernel[1] : (bottom - top) * (right - left);
    return { top, bottom, left, right, count };
  });
}

/** Region i of n along an axis of length L reaches from floor(i L / n) to ceil((i + 1) L / n). */
function adaptiveAvgPool2d(out, [x], { output_size: [rows, columns] }) {
  const from = (i, length, count) => Math.floor((i * length) / count);
  const to = (i, length, count) => Math.ceil(((i + 1) * length) / count);
  return meanOfBoxes(out, x, (oy, ox, height, width) => {
    const [top, bottom] = [from(oy, height, rows), to(oy, height, rows)];
    const [left, right] = [from(ox, width, columns), to(ox, width, columns)];
    return { top, bottom, left, right, count: (bottom - top) * (right - left) };
  });
}

export const POOLING = {
  adaptive_avg_pool2d: adaptiveAvgPool2d,
  avg_pool2d: avgPool2d,
  max_pool2d: maxPool2d,
};
