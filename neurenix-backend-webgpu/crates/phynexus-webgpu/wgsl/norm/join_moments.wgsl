
// A team a channel: from the moments of its chunks to its mean and variance (Chan, Golub and LeVeque
// 1983, "Algorithms for computing the sample variance").
@compute @workgroup_size(GROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let channel = (group.y * groups.x + group.x) * (GROUP / TEAM) + local / TEAM;
    let base = params.parts_offset + 2u * channel * params.chunks;
    let end = select(0u, params.chunks, channel < params.channels);
    let count = f32(params.reduced);
    var total = 0f;
    for (var chunk = local % TEAM; chunk < end; chunk += TEAM) {
        total += elements_of(chunk) * parts_at(base + 2u * chunk);
    }
    let mean = team_sum(local, total) / count;
    var squares = 0f;
    for (var chunk = local % TEAM; chunk < end; chunk += TEAM) {
        let apart = parts_at(base + 2u * chunk) - mean;
        squares += parts_at(base + 2u * chunk + 1u) + elements_of(chunk) * (apart * apart);
    }
    let variance = team_sum(local, squares) / count;
    if (local % TEAM == 0u && channel < params.channels) {
        out_put(params.out_offset + channel, mean);
        rstd_put(params.rstd_offset + channel, 1f / sqrt_float(variance + bitcast<f32>(params.eps)));
        variance_put(params.variance_offset + channel, variance);
    }
}

fn elements_of(chunk: u32) -> f32 { return f32(min(CHUNK, params.reduced - chunk * CHUNK)); }
