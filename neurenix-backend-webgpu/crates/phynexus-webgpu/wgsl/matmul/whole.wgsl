
// A workgroup computes a tile of 64 x 64 elements, an invocation 4 x 4 of them, sixteen steps of the
// sum at a time by way of workgroup memory. The sum of an element runs over k in order, whatever the
// tiles, so that it depends on its row and column alone.
const TILE: u32 = 64u;
const STEPS: u32 = 16u;
const EACH: u32 = 4u;

var<workgroup> rows: array<array<X, TILE>, STEPS>;
var<workgroup> columns: array<array<Y, TILE>, STEPS>;


fn multiply_add_int(sum: i32, x: i32, y: i32) -> i32 { return sum + x * y; }

fn multiply_add_long(sum: vec2<u32>, x: vec2<u32>, y: vec2<u32>) -> vec2<u32> {
    return add_long(sum, mul_long(x, y));
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let first_row = group.y * TILE;
    let first_column = group.x * TILE;
    let my_row = (local / 16u) * EACH;
    let my_column = (local % 16u) * EACH;
    for (var batch = group.z; batch < params.turns; batch += groups.z) {
        let x_base = params.x_offset + x_batch_place(batch);
        let y_base = params.y_offset + y_batch_place(batch);
        var sums = array<array<Out, EACH>, EACH>();
        for (var start = 0u; start < params.depth; start += STEPS) {
            workgroupBarrier();
            for (var turn = local; turn < TILE * STEPS; turn += 256u) {
                // Neighbouring invocations read along k in x, along a row in y.
                let x_row = turn / STEPS;
                let x_step = turn % STEPS;
                var x = X(); // said outright: a variable of a loop is not zero again in every browser
                if (first_row + x_row < params.rows && start + x_step < params.depth) {
                    x = x_at(x_base + (first_row + x_row) * params.x_row + (start + x_step) * params.x_column);
                }
                rows[x_step][x_row] = x;
                let y_step = turn / TILE;
                let y_column = turn % TILE;
                var y = Y();
                if (first_column + y_column < params.columns && start + y_step < params.depth) {
                    y = y_at(y_base + (start + y_step) * params.y_row + (first_column + y_column) * params.y_column);
                }
                columns[y_step][y_column] = y;
            }
            workgroupBarrier();
            for (var step = 0u; step < STEPS; step++) {
                var y: array<Y, EACH>;
                for (var column = 0u; column < EACH; column++) {
                    y[column] = columns[step][my_column + column];
                }
                for (var row = 0u; row < EACH; row++) {
                    let x = rows[step][my_row + row];
                    for (var column = 0u; column < EACH; column++) {
                        sums[row][column] = FUNCTION(sums[row][column], x, y[column]);
                    }
                }
            }
        }
        for (var row = 0u; row < EACH; row++) {
            for (var column = 0u; column < EACH; column++) {
                let out_row = first_row + my_row + row;
                let out_column = first_column + my_column + column;
                if (out_row < params.rows && out_column < params.columns) {
                    let place = (batch * params.rows + out_row) * params.columns + out_column;
                    out_put(params.out_offset + place, sums[row][column]);
                }
            }
        }
    }
}
