
// The gradient of a convolution to its input as a product: the weights, by channel, by the gradients
// of the outputs whose windows hold a pixel.
alias TileValue = TILE_VALUE;
struct Turn { weight: u32, grad: u32, out: u32, first: u32, end: u32 }
alias Rows = vec4<u32>;
alias RowStep = u32;
struct Columns { place: vec4<u32>, row: vec4<u32>, column: vec4<u32> }
struct ColumnStep { place: u32, row: u32, column: u32 }

fn turn_of(number: u32) -> Turn {
    let features = params.depth / TAPS;
    let weight = params.weight_offset + number * params.rows * params.depth;
    let grad = params.grad_offset + number * features * params.out_size;
    let out = params.out_offset + number * params.rows * params.size;
    return Turn(weight, grad, out, 0u, params.depth);
}

fn rows_of(turn: Turn, rows: vec4<u32>) -> Rows { return turn.weight + rows * TAPS; }

fn row_step_of(turn: Turn, step: u32) -> RowStep {
    let feature = step / TAPS;
    return feature * params.rows * TAPS + (step - feature * TAPS);
}

fn left(rows: Rows, step: RowStep) -> vec4<f32> {
    let at = rows + step;
    return vec4<f32>(weight_at(at.x), weight_at(at.y), weight_at(at.z), weight_at(at.w));
}

fn columns_of(turn: Turn, columns: vec4<u32>) -> Columns {
    let sample = columns / params.size;
    let rest = columns - sample * params.size;
    let row = rest / params.width;
    let column = rest - row * params.width;
    return Columns(turn.grad + sample * params.out_sample, row + params.top, column + params.left);
}

fn column_step_of(turn: Turn, step: u32) -> ColumnStep {
    let feature = step / TAPS;
    let tap = step - feature * TAPS;
    return ColumnStep(
        feature * params.out_size,
        (tap / KERNEL_WIDTH) * DILATION_ROW,
        (tap % KERNEL_WIDTH) * DILATION_COLUMN,
    );
}

fn right(columns: Columns, step: ColumnStep) -> vec4<f32> {
    // Above and left of the first window this wraps around to numbers larger than any output.
    let far_row = columns.row - step.row;
    let far_column = columns.column - step.column;
    let row = far_row / STRIDE_ROW;
    let column = far_column / STRIDE_COLUMN;
    let inside = (row < vec4<u32>(params.out_height)) & (column < vec4<u32>(params.out_width))
        & (row * STRIDE_ROW == far_row) & (column * STRIDE_COLUMN == far_column);
    let at = select(columns.place, columns.place + step.place + row * params.out_width + column, inside);
    let values = vec4<f32>(grad_at(at.x), grad_at(at.y), grad_at(at.z), grad_at(at.w));
    return select(vec4<f32>(), values, inside);
}

fn places_of(turn: Turn, columns: vec4<u32>) -> vec4<u32> {
    let sample = columns / params.size;
    return turn.out + sample * params.sample + (columns - sample * params.size);
}

fn place_of(turn: Turn, row: u32) -> u32 { return row * params.size; }

fn finished(turn: Turn, sum: f32, row: u32, column: u32, place: u32) -> f32 { return sum; }
