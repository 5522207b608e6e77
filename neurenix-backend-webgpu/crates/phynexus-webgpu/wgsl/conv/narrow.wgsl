
// A convolution of groups of few features: an invocation an output. The sum is the one of the tiles, to
// the bit: in the order of channels and taps, with zeros around the image.
fn element(i: u32) -> Out {
    let number = params.first + i;
    let line = number / params.out_width;
    let plane = line / params.out_height;
    let feature = plane % params.features;
    let channel = (feature / params.group_features) * params.group_channels;
    // Above and left of the image these wrap around to numbers larger than any image.
    let row = (line - plane * params.out_height) * STRIDE_ROW - params.top;
    let column = (number - line * params.out_width) * STRIDE_COLUMN - params.left;
    let size = params.height * params.width;
    var image = params.x_offset + ((plane / params.features) * params.channels + channel) * size;
    var weight = params.weight_offset + feature * params.group_channels * TAPS;
    var sum = 0f;
    for (var step = 0u; step < params.group_channels; step++) {
        for (var tap = 0u; tap < TAPS; tap++) {
            let at_row = row + (tap / KERNEL_WIDTH) * DILATION_ROW;
            let at_column = column + (tap % KERNEL_WIDTH) * DILATION_COLUMN;
            var value = 0f;
            if (at_row < params.height && at_column < params.width) {
                value = x_at(image + at_row * params.width + at_column);
            }
            sum = fma(weight_at(weight + tap), value, sum);
        }
        image += size;
        weight += TAPS;
    }
    return ACTIVATION(RESIDUAL(FUNCTION(sum, feature), number));
}

fn as_it_is(sum: f32) -> f32 { return sum; }
