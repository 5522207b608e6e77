
// A team a row: its largest value, the sum of exponentials, then every element.
@compute @workgroup_size(GROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let row = (group.y * groups.x + group.x) * (GROUP / TEAM) + local / TEAM;
    let first = (row / params.inner) * (params.width * params.inner) + row % params.inner;
    let end = select(0u, params.width, row < params.rows);
    let start = params.x_offset + first;
    var largest = -infinity();
    for (var k = local % TEAM; k < end; k += TEAM) {
        largest = maximum_float(largest, x_at(start + k * params.inner));
    }
    largest = team_largest(local, largest);
    var total = 0f;
    for (var k = local % TEAM; k < end; k += TEAM) {
        total += exp_float(x_at(start + k * params.inner) - largest);
    }
    total = DIVISOR(team_sum(local, total));
    for (var k = local % TEAM; k < end; k += TEAM) {
        let centred = x_at(start + k * params.inner) - largest;
        out_put(params.out_offset + first + k * params.inner, FUNCTION(centred, total));
    }
}

fn itself(total: f32) -> f32 { return total; }

fn share(centred: f32, total: f32) -> f32 { return exp_float(centred) / total; }

fn log_share(centred: f32, log_total: f32) -> f32 { return centred - log_total; }
