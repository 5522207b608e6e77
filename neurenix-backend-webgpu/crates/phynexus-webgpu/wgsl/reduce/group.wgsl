
// One workgroup a chunk of the elements of an output: every invocation adds up each INVOCATIONS-th
// of them, and a tree what those have. The order depends on the number of elements alone.
var<workgroup> partial: array<Out, INVOCATIONS>;

@compute @workgroup_size(INVOCATIONS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let turn = group.y * groups.x + group.x;
    let chunk = turn % params.chunks;
    let start = chunk * CHUNK;
    let end = min(start + CHUNK, params.reduced);
    let count = min(end - start, INVOCATIONS);
    if (turn < params.turns) {
        let base = params.x_offset + kept_place(turn / params.chunks);
        if (local < count) {
            var total = CONVERSION(x_at(base + reduced_place(start + local)));
            for (var r = start + local + INVOCATIONS; r < end; r += INVOCATIONS) {
                total = FUNCTION(total, CONVERSION(x_at(base + reduced_place(r))));
            }
            partial[local] = total;
        }
    }
    for (var half = INVOCATIONS / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (local < half && local + half < count) {
            partial[local] = FUNCTION(partial[local], partial[local + half]);
        }
    }
    if (local == 0u && turn < params.turns) {
        out_put(params.out_offset + turn, partial[0]);
    }
}
