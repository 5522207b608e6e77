
// A workgroup a chunk of a channel's elements: their mean, and the sum of the squares about it.
@compute @workgroup_size(GROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let turn = group.y * groups.x + group.x;
    let base = params.x_offset + (turn / params.chunks) * params.inner;
    let start = (turn % params.chunks) * CHUNK;
    let end = select(0u, min(start + CHUNK, params.reduced), turn < params.turns);
    var total = 0f;
    for (var r = start + local; r < end; r += GROUP) { total += x_at(base + reduced_place(r)); }
    let mean = team_sum(local, total) / f32(end - start);
    var squares = 0f;
    for (var r = start + local; r < end; r += GROUP) {
        let centred = x_at(base + reduced_place(r)) - mean;
        squares += centred * centred;
    }
    squares = team_sum(local, squares);
    if (local == 0u && turn < params.turns) {
        out_put(params.out_offset + 2u * turn, mean);
        out_put(params.out_offset + 2u * turn + 1u, squares);
    }
}
