
// The best element of a window: the first of equal ones, NaN before all others.
fn element(i: u32) -> Out {
    let number = params.first + i;
    let line = number / params.out_width;
    let plane = line / params.out_height;
    // Above and left of the image these wrap around to numbers larger than any image.
    let first_row = (line - plane * params.out_height) * STRIDE_ROW - params.top;
    let first_column = (number - line * params.out_width) * STRIDE_COLUMN - params.left;
    let image = params.x_offset + plane * params.height * params.width;
    var best = Out();
    var place = 0xffffffffu;
    for (var kernel_row = 0u; kernel_row < KERNEL_HEIGHT; kernel_row++) {
        let row = first_row + kernel_row * DILATION_ROW;
        if (row >= params.height) { continue; }
        for (var kernel_column = 0u; kernel_column < KERNEL_WIDTH; kernel_column++) {
            let column = first_column + kernel_column * DILATION_COLUMN;
            if (column >= params.width) { continue; }
            let value = x_at(image + row * params.width + column);
            if (place == 0xffffffffu || FUNCTION(value, best)) {
                best = value;
                place = row * params.width + column;
            }
        }
    }
    NOTE(number, place);
    return best;
}
