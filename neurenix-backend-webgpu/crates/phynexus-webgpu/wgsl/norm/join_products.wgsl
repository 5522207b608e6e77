
// A team a channel: from the sums of its chunks to the gradients of weight and bias.
@compute @workgroup_size(GROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let channel = (group.y * groups.x + group.x) * (GROUP / TEAM) + local / TEAM;
    let base = params.parts_offset + 2u * channel * params.chunks;
    let end = select(0u, params.chunks, channel < params.channels);
    var total = 0f;
    var products = 0f;
    for (var chunk = local % TEAM; chunk < end; chunk += TEAM) {
        total += parts_at(base + 2u * chunk);
        products += parts_at(base + 2u * chunk + 1u);
    }
    total = team_sum(local, total);
    products = team_sum(local, products);
    if (local % TEAM == 0u && channel < params.channels) {
        out_put(params.out_offset + channel, products * rstd_at(params.rstd_offset + channel));
        bias_put(params.bias_offset + channel, total);
    }
}
