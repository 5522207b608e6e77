
// The mean of a window.
fn element(i: u32) -> Out {
    let number = params.first + i;
    let line = number / params.out_width;
    let plane = line / params.out_height;
    let first_row = (line - plane * params.out_height) * STRIDE_ROW - params.top;
    let first_column = (number - line * params.out_width) * STRIDE_COLUMN - params.left;
    let image = params.x_offset + plane * params.height * params.width;
    var sum = 0f;
    var count = 0u;
    for (var kernel_row = 0u; kernel_row < KERNEL_HEIGHT; kernel_row++) {
        let row = first_row + kernel_row;
        if (row >= params.height) { continue; }
        for (var kernel_column = 0u; kernel_column < KERNEL_WIDTH; kernel_column++) {
            let column = first_column + kernel_column;
            if (column >= params.width) { continue; }
            sum += x_at(image + row * params.width + column);
            count++;
        }
    }
    return sum / f32(select(count, KERNEL_HEIGHT * KERNEL_WIDTH, COUNT_PADDING == 1u));
}
