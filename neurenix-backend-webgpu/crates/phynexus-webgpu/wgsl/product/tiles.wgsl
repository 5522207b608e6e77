
// A workgroup computes a tile of 64 x 64 sums of products, an invocation 8 x 8 of them, sixteen steps
// of the sums at a time by way of workgroup memory. The sum of an element runs over its steps in order,
// whatever the tiles, so that it depends on its row and its column alone.
//
// A kernel says what is multiplied, four rows or columns at once:
//   Turn, turn_of(number)              one of several products, and its steps: from `first` to `end`
//   Rows, rows_of(turn, rows)          what is known of four rows of the left matrix whatever the step
//   RowStep, row_step_of(turn, step)   what is known of a step whatever the rows
//   left(rows, step)                   the elements
//   Columns, columns_of, ColumnStep, column_step_of, right   the same of the right matrix
//   places_of(turn, columns), place_of(turn, row)   whose sum is the place of a result
//   finished(turn, sum, row, column, place)         what is stored there
// and the type TileValue: vec4<f16>, where all that is multiplied is float16 and shaders have it, else
// vec4<f32>; sums are float32. And the constants LEFT_ALONG and RIGHT_ALONG: 1 where neighbouring steps lie side by side in memory,
// 0 where neighbouring rows, or columns, do; neighbouring invocations read in that direction.
//
// Four rows that belong together lie sixteen apart, so that invocations side by side read, and write,
// elements side by side. A padding of one keeps invocations from meeting in one bank of the memory.
const TILE: u32 = 64u;
const STEPS: u32 = 16u;
const QUADS: u32 = 16u;

var<workgroup> left_tile: array<array<TileValue, 17>, 16>;
var<workgroup> right_tile: array<array<TileValue, 17>, 16>;

fn quad(first: u32, number: u32) -> vec4<u32> {
    return vec4<u32>(first + number) + vec4<u32>(0u, 16u, 32u, 48u);
}

// The same, but within the matrix: what is read twice is never stored.
fn quad_within(first: u32, number: u32, count: u32) -> vec4<u32> {
    return min(quad(first, number), vec4<u32>(count - 1u));
}

fn load_left(turn: Turn, first_row: u32, fixed: Rows, start: u32, local: u32) {
    if (LEFT_ALONG == 1u) {
        let number = local % STEPS;
        let step = row_step_of(turn, min(start + number, turn.end - 1u));
        let inside = start + number < turn.end;
        for (var q = local / STEPS; q < QUADS; q += 4u) {
            let value = left(rows_of(turn, quad_within(first_row, q, params.rows)), step);
            left_tile[number][q] = TileValue(select(vec4<f32>(), value, inside));
        }
    } else {
        for (var number = local / QUADS; number < STEPS; number += 4u) {
            let value = left(fixed, row_step_of(turn, min(start + number, turn.end - 1u)));
            left_tile[number][local % QUADS] = TileValue(select(vec4<f32>(), value, start + number < turn.end));
        }
    }
}

fn load_right(turn: Turn, first_column: u32, fixed: Columns, start: u32, local: u32) {
    if (RIGHT_ALONG == 1u) {
        let number = local % STEPS;
        let step = column_step_of(turn, min(start + number, turn.end - 1u));
        let inside = start + number < turn.end;
        for (var q = local / STEPS; q < QUADS; q += 4u) {
            let value = right(columns_of(turn, quad_within(first_column, q, params.columns)), step);
            right_tile[number][q] = TileValue(select(vec4<f32>(), value, inside));
        }
    } else {
        for (var number = local / QUADS; number < STEPS; number += 4u) {
            let value = right(fixed, column_step_of(turn, min(start + number, turn.end - 1u)));
            right_tile[number][local % QUADS] = TileValue(select(vec4<f32>(), value, start + number < turn.end));
        }
    }
}

fn put(turn: Turn, sum: f32, row: u32, column: u32, place: u32) {
    if (column < params.columns) {
        out_put(place, finished(turn, sum, row, column, place));
    }
}

fn put_quad(turn: Turn, sums: vec4<f32>, row: u32, columns: vec4<u32>, places: vec4<u32>) {
    if (row >= params.rows) { return; }
    let at = places + place_of(turn, row);
    put(turn, sums.x, row, columns.x, at.x);
    put(turn, sums.y, row, columns.y, at.y);
    put(turn, sums.z, row, columns.z, at.z);
    put(turn, sums.w, row, columns.w, at.w);
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    // Tiles of the same columns run one after the other: the right matrix is often the larger one.
    let tile = group.y * groups.x + group.x;
    let row_tiles = (params.rows + TILE - 1u) / TILE;
    let column_tiles = (params.columns + TILE - 1u) / TILE;
    if (tile >= row_tiles * column_tiles * params.turns) { return; }
    let first_row = (tile % row_tiles) * TILE;
    let first_column = ((tile / row_tiles) % column_tiles) * TILE;
    let turn = turn_of(tile / row_tiles / column_tiles);
    let fixed_rows = rows_of(turn, quad_within(first_row, local % QUADS, params.rows));
    let fixed_columns = columns_of(turn, quad_within(first_column, local % QUADS, params.columns));
    let my_row = local / 8u;
    let my_column = local % 8u;
    // By name, not in an array: so they stay in registers everywhere.
    var s00 = vec4<f32>(); var s01 = vec4<f32>();
    var s10 = vec4<f32>(); var s11 = vec4<f32>();
    var s20 = vec4<f32>(); var s21 = vec4<f32>();
    var s30 = vec4<f32>(); var s31 = vec4<f32>();
    var s40 = vec4<f32>(); var s41 = vec4<f32>();
    var s50 = vec4<f32>(); var s51 = vec4<f32>();
    var s60 = vec4<f32>(); var s61 = vec4<f32>();
    var s70 = vec4<f32>(); var s71 = vec4<f32>();
    for (var start = turn.first; start < turn.end; start += STEPS) {
        workgroupBarrier();
        load_left(turn, first_row, fixed_rows, start, local);
        load_right(turn, first_column, fixed_columns, start, local);
        workgroupBarrier();
        for (var step = 0u; step < STEPS; step++) {
            let x0 = vec4<f32>(left_tile[step][my_row]);
            let x1 = vec4<f32>(left_tile[step][my_row + 8u]);
            let y0 = vec4<f32>(right_tile[step][my_column]);
            let y1 = vec4<f32>(right_tile[step][my_column + 8u]);
            s00 = fma(vec4<f32>(x0.x), y0, s00); s01 = fma(vec4<f32>(x0.x), y1, s01);
            s10 = fma(vec4<f32>(x0.y), y0, s10); s11 = fma(vec4<f32>(x0.y), y1, s11);
            s20 = fma(vec4<f32>(x0.z), y0, s20); s21 = fma(vec4<f32>(x0.z), y1, s21);
            s30 = fma(vec4<f32>(x0.w), y0, s30); s31 = fma(vec4<f32>(x0.w), y1, s31);
            s40 = fma(vec4<f32>(x1.x), y0, s40); s41 = fma(vec4<f32>(x1.x), y1, s41);
            s50 = fma(vec4<f32>(x1.y), y0, s50); s51 = fma(vec4<f32>(x1.y), y1, s51);
            s60 = fma(vec4<f32>(x1.z), y0, s60); s61 = fma(vec4<f32>(x1.z), y1, s61);
            s70 = fma(vec4<f32>(x1.w), y0, s70); s71 = fma(vec4<f32>(x1.w), y1, s71);
        }
    }
    let columns_0 = quad(first_column, my_column);
    let columns_1 = quad(first_column, my_column + 8u);
    let places_0 = places_of(turn, columns_0);
    let places_1 = places_of(turn, columns_1);
    let rows_0 = quad(first_row, my_row);
    let rows_1 = quad(first_row, my_row + 8u);
    put_quad(turn, s00, rows_0.x, columns_0, places_0); put_quad(turn, s01, rows_0.x, columns_1, places_1);
    put_quad(turn, s10, rows_0.y, columns_0, places_0); put_quad(turn, s11, rows_0.y, columns_1, places_1);
    put_quad(turn, s20, rows_0.z, columns_0, places_0); put_quad(turn, s21, rows_0.z, columns_1, places_1);
    put_quad(turn, s30, rows_0.w, columns_0, places_0); put_quad(turn, s31, rows_0.w, columns_1, places_1);
    put_quad(turn, s40, rows_1.x, columns_0, places_0); put_quad(turn, s41, rows_1.x, columns_1, places_1);
    put_quad(turn, s50, rows_1.y, columns_0, places_0); put_quad(turn, s51, rows_1.y, columns_1, places_1);
    put_quad(turn, s60, rows_1.z, columns_0, places_0); put_quad(turn, s61, rows_1.z, columns_1, places_1);
    put_quad(turn, s70, rows_1.w, columns_0, places_0); put_quad(turn, s71, rows_1.w, columns_1, places_1);
}
