
// A convolution as a product: the weights of a group's features by the windows of all samples, in
// columns that nobody writes down.
alias TileValue = TILE_VALUE;
struct Turn { weight: u32, x: u32, out: u32, feature: u32, first: u32, end: u32 }
alias Rows = vec4<u32>;
alias RowStep = u32;

fn turn_of(number: u32) -> Turn {
    let feature = number * params.rows;
    let x = params.x_offset + number * (params.depth / TAPS) * params.height * params.width;
    let weight = params.weight_offset + feature * params.depth;
    return Turn(weight, x, params.out_offset + feature * params.out_size, feature, 0u, params.depth);
}

fn rows_of(turn: Turn, rows: vec4<u32>) -> Rows { return turn.weight + rows * params.depth; }

fn row_step_of(turn: Turn, step: u32) -> RowStep { return step; }

fn left(rows: Rows, step: RowStep) -> vec4<f32> {
    let at = rows + step;
    return vec4<f32>(weight_at(at.x), weight_at(at.y), weight_at(at.z), weight_at(at.w));
}

fn columns_of(turn: Turn, columns: vec4<u32>) -> Columns {
    let sample = columns / params.out_size;
    let rest = columns - sample * params.out_size;
    let row = rest / params.out_width;
    let column = rest - row * params.out_width;
    return Columns(
        turn.x + sample * params.sample,
        row * STRIDE_ROW - params.top,
        column * STRIDE_COLUMN - params.left,
    );
}

fn column_step_of(turn: Turn, step: u32) -> ColumnStep {
    let channel = step / TAPS;
    let tap = step - channel * TAPS;
    return ColumnStep(channel * params.height * params.width, tap_row(tap), tap_column(tap));
}

fn places_of(turn: Turn, columns: vec4<u32>) -> vec4<u32> {
    let sample = columns / params.out_size;
    return turn.out + sample * params.out_sample + (columns - sample * params.out_size);
}

fn place_of(turn: Turn, row: u32) -> u32 { return row * params.out_size; }

fn finished(turn: Turn, sum: f32, row: u32, column: u32, place: u32) -> f32 {
    return ACTIVATION(RESIDUAL(FUNCTION(sum, turn.feature + row), place - params.out_offset));
}

fn as_it_is(sum: f32) -> f32 { return sum; }
