
// The gradient of a pixel: its share in every region that holds it. Those are the regions from
// floor(place count / size) to before ceil((place + 1) count / size).
fn element(i: u32) -> Out {
    let number = params.first + i;
    let line = number / params.width;
    let plane = line / params.height;
    let row = line - plane * params.height;
    let column = number - line * params.width;
    let last_row = region_end(row, params.out_height, params.height);
    let last_column = region_end(column, params.out_width, params.width);
    var sum = 0f;
    for (var out_row = region_start(row, params.out_height, params.height); out_row < last_row; out_row++) {
        let rows = region_end(out_row, params.height, params.out_height)
            - region_start(out_row, params.height, params.out_height);
        let at = params.grad_offset + (plane * params.out_height + out_row) * params.out_width;
        var out_column = region_start(column, params.out_width, params.width);
        for (; out_column < last_column; out_column++) {
            let columns = region_end(out_column, params.width, params.out_width)
                - region_start(out_column, params.width, params.out_width);
            sum += grad_at(at + out_column) / f32(rows * columns);
        }
    }
    return sum;
}
