
// A workgroup a chunk of a channel's elements: the sum of gradients, and that of their products with x
// less its mean.
@compute @workgroup_size(GROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let turn = group.y * groups.x + group.x;
    let channel = turn / params.chunks;
    let base = channel * params.inner;
    let start = (turn % params.chunks) * CHUNK;
    let end = select(0u, min(start + CHUNK, params.reduced), turn < params.turns);
    var mean = 0f;
    if (turn < params.turns) { mean = mean_at(params.mean_offset + channel); }
    var total = 0f;
    var products = 0f;
    for (var r = start + local; r < end; r += GROUP) {
        let place = base + reduced_place(r);
        let grad = grad_at(params.grad_offset + place);
        total += grad;
        products += grad * (x_at(params.x_offset + place) - mean);
    }
    total = team_sum(local, total);
    products = team_sum(local, products);
    if (local == 0u && turn < params.turns) {
        out_put(params.out_offset + 2u * turn, total);
        out_put(params.out_offset + 2u * turn + 1u, products);
    }
}
