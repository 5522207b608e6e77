
// Products with few rows or few columns, of which tiles would be empty for the most part: an invocation
// an element. The sum is the one of the tiles, to the bit.
fn element(i: u32) -> Out {
    let number = params.first + i;
    let column = number % params.columns;
    let row = (number / params.columns) % params.rows;
    let batch = number / params.columns / params.rows;
    var x = params.x_offset + x_batch_place(batch) + row * params.x_row;
    var y = params.y_offset + y_batch_place(batch) + column * params.y_column;
    var sum = 0f;
    for (var step = 0u; step < params.depth; step++) {
        sum = fma(x_at(x), y_at(y), sum);
        x += params.x_column;
        y += params.y_row;
    }
    return FUNCTION(sum, column);
}
