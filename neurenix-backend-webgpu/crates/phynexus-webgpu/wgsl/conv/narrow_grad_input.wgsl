
// The gradient to the input where groups have few channels: an invocation a pixel. The sum is the one of
// the tiles, to the bit: in the order of features and taps.
fn element(i: u32) -> Out {
    let number = params.first + i;
    let line = number / params.width;
    let plane = line / params.height;
    let channel = plane % params.channels;
    let group = channel / params.group_channels;
    let row = line - plane * params.height + params.top;
    let column = number - line * params.width + params.left;
    let out_size = params.out_height * params.out_width;
    let feature = group * params.group_features;
    var image = params.grad_offset + ((plane / params.channels) * params.features + feature) * out_size;
    let own = channel - group * params.group_channels;
    var weight = params.weight_offset + (feature * params.group_channels + own) * TAPS;
    var sum = 0f;
    for (var step = 0u; step < params.group_features; step++) {
        for (var tap = 0u; tap < TAPS; tap++) {
            // Above and left of the first window this wraps around to numbers larger than any output.
            let far_row = row - (tap / KERNEL_WIDTH) * DILATION_ROW;
            let far_column = column - (tap % KERNEL_WIDTH) * DILATION_COLUMN;
            let out_row = far_row / STRIDE_ROW;
            let out_column = far_column / STRIDE_COLUMN;
            var value = 0f;
            if (out_row < params.out_height && out_column < params.out_width
                && out_row * STRIDE_ROW == far_row && out_column * STRIDE_COLUMN == far_column) {
                value = grad_at(image + out_row * params.out_width + out_column);
            }
            sum = fma(weight_at(weight + tap), value, sum);
        }
        image += out_size;
        weight += params.group_channels * TAPS;
    }
    return sum;
}
