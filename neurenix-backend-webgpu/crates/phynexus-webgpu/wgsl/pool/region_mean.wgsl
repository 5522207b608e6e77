
// The mean of a region, added up row by row.
fn element(i: u32) -> Out {
    let number = params.first + i;
    let line = number / params.out_width;
    let plane = line / params.out_height;
    let region_row = line - plane * params.out_height;
    let region_column = number - line * params.out_width;
    let first_row = region_start(region_row, params.height, params.out_height);
    let last_row = region_end(region_row, params.height, params.out_height);
    let first_column = region_start(region_column, params.width, params.out_width);
    let last_column = region_end(region_column, params.width, params.out_width);
    var sum = 0f;
    for (var row = first_row; row < last_row; row++) {
        let at = params.x_offset + (plane * params.height + row) * params.width;
        var part = 0f;
        for (var column = first_column; column < last_column; column++) {
            part += x_at(at + column);
        }
        sum += part;
    }
    return sum / f32((last_row - first_row) * (last_column - first_column));
}
