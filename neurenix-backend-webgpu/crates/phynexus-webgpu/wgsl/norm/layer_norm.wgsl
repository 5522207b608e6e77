
// A team a row: its mean, its variance about that, then every element.
@compute @workgroup_size(GROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let row = (group.y * groups.x + group.x) * (GROUP / TEAM) + local / TEAM;
    let first = row * params.width;
    let end = select(0u, params.width, row < params.rows);
    let start = params.x_offset + first;
    let count = f32(params.width);
    var total = 0f;
    for (var k = local % TEAM; k < end; k += TEAM) { total += x_at(start + k); }
    let mean = team_sum(local, total) / count;
    var squares = 0f;
    for (var k = local % TEAM; k < end; k += TEAM) {
        let centred = x_at(start + k) - mean;
        squares += centred * centred;
    }
    let rstd = 1f / sqrt_float(team_sum(local, squares) / count + bitcast<f32>(params.eps));
    for (var k = local % TEAM; k < end; k += TEAM) {
        var value = (x_at(start + k) - mean) * rstd;
        if (HAS_WEIGHT == 1u) { value *= weight_at(params.weight_offset + k); }
        if (HAS_BIAS == 1u) { value += bias_at(params.bias_offset + k); }
        out_put(params.out_offset + first + k, value);
    }
    if (local % TEAM == 0u && row < params.rows) {
        mean_put(params.mean_offset + row, mean);
        rstd_put(params.rstd_offset + row, rstd);
    }
}
