
// A team a row: a sum over it, then every element. y is the result whose gradient comes in.
@compute @workgroup_size(GROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let row = (group.y * groups.x + group.x) * (GROUP / TEAM) + local / TEAM;
    let first = (row / params.inner) * (params.width * params.inner) + row % params.inner;
    let end = select(0u, params.width, row < params.rows);
    var total = 0f;
    for (var k = local % TEAM; k < end; k += TEAM) {
        let place = first + k * params.inner;
        total += TERM(grad_at(params.grad_offset + place), y_at(params.y_offset + place));
    }
    total = team_sum(local, total);
    for (var k = local % TEAM; k < end; k += TEAM) {
        let place = first + k * params.inner;
        let value = FUNCTION(grad_at(params.grad_offset + place), y_at(params.y_offset + place), total);
        out_put(params.out_offset + place, value);
    }
}

fn product(grad: f32, y: f32) -> f32 { return grad * y; }

fn of_share(grad: f32, y: f32, total: f32) -> f32 { return (grad - total) * y; }

fn only_grad(grad: f32, y: f32) -> f32 { return grad; }

fn of_log_share(grad: f32, y: f32, total: f32) -> f32 { return grad - exp_float(y) * total; }
