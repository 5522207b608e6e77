
// Images read through windows. Rows and columns count from the image's corner, and wrap around above
// it, and left of it, to numbers that are larger than any image.
struct Columns { place: vec4<u32>, row: vec4<u32>, column: vec4<u32> }
struct ColumnStep { place: u32, row: u32, column: u32 }

fn right(columns: Columns, step: ColumnStep) -> vec4<f32> {
    let row = columns.row + step.row;
    let column = columns.column + step.column;
    let inside = (row < vec4<u32>(params.height)) & (column < vec4<u32>(params.width));
    let at = select(columns.place, columns.place + step.place + row * params.width + column, inside);
    let values = vec4<f32>(x_at(at.x), x_at(at.y), x_at(at.z), x_at(at.w));
    return select(vec4<f32>(), values, inside);
}

// The tap of a window: its number by rows.
fn tap_row(tap: u32) -> u32 { return (tap / KERNEL_WIDTH) * DILATION_ROW; }

fn tap_column(tap: u32) -> u32 { return (tap % KERNEL_WIDTH) * DILATION_COLUMN; }
