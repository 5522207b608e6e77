
// A team a query: from its scores to its weights, in their place. A key that a query may not attend to
// has a score that is low but finite, so that a query without any becomes no NaN, and the weight 0.
const LOWEST: f32 = -1e30f;

fn score_of(row: u32, k: u32) -> f32 {
    if (!is_allowed(row, k)) { return LOWEST; }
    let place = row * params.width + k;
    return FUNCTION(x_at(params.x_offset + place) * bitcast<f32>(params.scale), place);
}

fn is_allowed(row: u32, k: u32) -> bool {
    if (CAUSAL == 1u && k > row % params.queries) { return false; }
    return ALLOWED(row * params.width + k);
}

@compute @workgroup_size(GROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let row = (group.y * groups.x + group.x) * (GROUP / TEAM) + local / TEAM;
    let end = select(0u, params.width, row < params.rows);
    var largest = -infinity();
    for (var k = local % TEAM; k < end; k += TEAM) {
        largest = maximum_float(largest, score_of(row, k));
    }
    largest = team_largest(local, largest);
    var total = 0f;
    for (var k = local % TEAM; k < end; k += TEAM) { total += exp_float(score_of(row, k) - largest); }
    total = team_sum(local, total);
    for (var k = local % TEAM; k < end; k += TEAM) {
        var weight = exp_float(score_of(row, k) - largest) / total;
        if (!is_allowed(row, k)) { weight = 0f; }
        out_put(params.out_offset + row * params.width + k, weight);
    }
}
