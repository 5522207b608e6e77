
// Products of matrices of any strides.
alias TileValue = TILE_VALUE;
struct Turn { x: u32, y: u32, out: u32, first: u32, end: u32 }
alias Rows = vec4<u32>;
alias RowStep = u32;
alias Columns = vec4<u32>;
alias ColumnStep = u32;

fn turn_of(number: u32) -> Turn {
    let x = params.x_offset + x_batch_place(number);
    let y = params.y_offset + y_batch_place(number);
    return Turn(x, y, params.out_offset + number * params.rows * params.columns, 0u, params.depth);
}

fn rows_of(turn: Turn, rows: vec4<u32>) -> Rows { return turn.x + rows * params.x_row; }

fn row_step_of(turn: Turn, step: u32) -> RowStep { return step * params.x_column; }

fn left(rows: Rows, step: RowStep) -> vec4<f32> {
    let at = rows + step;
    return vec4<f32>(x_at(at.x), x_at(at.y), x_at(at.z), x_at(at.w));
}

fn columns_of(turn: Turn, columns: vec4<u32>) -> Columns { return turn.y + columns * params.y_column; }

fn column_step_of(turn: Turn, step: u32) -> ColumnStep { return step * params.y_row; }

fn right(columns: Columns, step: ColumnStep) -> vec4<f32> {
    let at = columns + step;
    return vec4<f32>(y_at(at.x), y_at(at.y), y_at(at.z), y_at(at.w));
}

fn places_of(turn: Turn, columns: vec4<u32>) -> vec4<u32> { return turn.out + columns; }

fn place_of(turn: Turn, row: u32) -> u32 { return row * params.columns; }

fn finished(turn: Turn, sum: f32, row: u32, column: u32, place: u32) -> f32 { return FUNCTION(sum, column); }
