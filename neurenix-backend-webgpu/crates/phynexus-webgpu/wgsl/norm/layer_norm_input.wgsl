
// The gradient to the input of a layer norm. A team a row: two sums over it, then every element.
@compute @workgroup_size(GROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let row = (group.y * groups.x + group.x) * (GROUP / TEAM) + local / TEAM;
    let first = row * params.width;
    let end = select(0u, params.width, row < params.rows);
    let count = f32(params.width);
    var mean = 0f;
    var rstd = 0f;
    if (row < params.rows) {
        mean = mean_at(params.mean_offset + row);
        rstd = rstd_at(params.rstd_offset + row);
    }
    var level = 0f;
    var slope = 0f;
    for (var k = local % TEAM; k < end; k += TEAM) {
        let grad = weighted_grad(first + k, k);
        level += grad;
        slope += grad * ((x_at(params.x_offset + first + k) - mean) * rstd);
    }
    level = team_sum(local, level) / count;
    slope = team_sum(local, slope) / count;
    for (var k = local % TEAM; k < end; k += TEAM) {
        let normal = (x_at(params.x_offset + first + k) - mean) * rstd;
        let value = (weighted_grad(first + k, k) - level - normal * slope) * rstd;
        out_put(params.out_offset + first + k, value);
    }
}

fn weighted_grad(place: u32, column: u32) -> f32 {
    let grad = grad_at(params.grad_offset + place);
    if (HAS_WEIGHT == 0u) { return grad; }
    return grad * weight_at(params.weight_offset + column);
}
