
// The gradient of a pixel: its share in every window that holds it.

fn first_window(place: u32, size: u32, stride: u32) -> u32 {
    return select(0u, (place - size) / stride + 1u, place >= size);
}

// How many of a window's rows, or columns, are inside the image.
fn inside(window: u32, size: u32, stride: u32, start: u32, limit: u32) -> u32 {
    let first = window * stride;
    return min(first + size, limit + start) - max(first, start);
}

fn element(i: u32) -> Out {
    let number = params.first + i;
    let line = number / params.width;
    let plane = line / params.height;
    let row = line - plane * params.height + params.top;
    let column = number - line * params.width + params.left;
    let last_row = min(row / STRIDE_ROW + 1u, params.out_height);
    let last_column = min(column / STRIDE_COLUMN + 1u, params.out_width);
    var sum = 0f;
    for (var out_row = first_window(row, KERNEL_HEIGHT, STRIDE_ROW); out_row < last_row; out_row++) {
        let rows = inside(out_row, KERNEL_HEIGHT, STRIDE_ROW, params.top, params.height);
        let at = params.grad_offset + (plane * params.out_height + out_row) * params.out_width;
        for (var out_column = first_window(column, KERNEL_WIDTH, STRIDE_COLUMN); out_column < last_column; out_column++) {
            let columns = inside(out_column, KERNEL_WIDTH, STRIDE_COLUMN, params.left, params.width);
            let count = select(rows * columns, KERNEL_HEIGHT * KERNEL_WIDTH, COUNT_PADDING == 1u);
            sum += grad_at(at + out_column) / f32(count);
        }
    }
    return sum;
}
