
// The gradient of a convolution to its weights as a product: the gradients of a group's features by the
// windows, summed over the outputs of all samples; each part of that sum is a product of its own.
alias TileValue = TILE_VALUE;
struct Turn { grad: u32, x: u32, out: u32, first: u32, end: u32 }
alias Rows = vec4<u32>;
alias RowStep = u32;

fn turn_of(number: u32) -> Turn {
    let group = number / params.parts;
    let part = number - group * params.parts;
    let grad = params.grad_offset + group * params.rows * params.out_size;
    let x = params.x_offset + group * (params.columns / TAPS) * params.height * params.width;
    let weights = params.rows * params.columns;
    let out = params.out_offset + (part * (params.turns / params.parts) + group) * weights;
    return Turn(grad, x, out, part * params.chunk, min((part + 1u) * params.chunk, params.depth));
}

fn rows_of(turn: Turn, rows: vec4<u32>) -> Rows { return turn.grad + rows * params.out_size; }

fn row_step_of(turn: Turn, step: u32) -> RowStep {
    let sample = step / params.out_size;
    return sample * params.out_sample + (step - sample * params.out_size);
}

fn left(rows: Rows, step: RowStep) -> vec4<f32> {
    let at = rows + step;
    return vec4<f32>(grad_at(at.x), grad_at(at.y), grad_at(at.z), grad_at(at.w));
}

fn columns_of(turn: Turn, columns: vec4<u32>) -> Columns {
    let channel = columns / TAPS;
    let tap = columns - channel * TAPS;
    return Columns(
        turn.x + channel * params.height * params.width,
        (tap / KERNEL_WIDTH) * DILATION_ROW - params.top,
        (tap % KERNEL_WIDTH) * DILATION_COLUMN - params.left,
    );
}

fn column_step_of(turn: Turn, step: u32) -> ColumnStep {
    let sample = step / params.out_size;
    let rest = step - sample * params.out_size;
    let row = rest / params.out_width;
    let column = rest - row * params.out_width;
    return ColumnStep(sample * params.sample, row * STRIDE_ROW, column * STRIDE_COLUMN);
}

fn places_of(turn: Turn, columns: vec4<u32>) -> vec4<u32> { return turn.out + columns; }

fn place_of(turn: Turn, row: u32) -> u32 { return row * params.columns; }

fn finished(turn: Turn, sum: f32, row: u32, column: u32, place: u32) -> f32 { return sum; }
