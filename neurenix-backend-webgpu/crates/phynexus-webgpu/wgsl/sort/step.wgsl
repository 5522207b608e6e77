
// One step of bitonic sorting between places further apart than a workgroup reaches.
@compute @workgroup_size(GROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let turn = (group.y * groups.x + group.x) * GROUP + local;
    if (turn >= params.pairs) { return; }
    let row = turn / (params.size / 2u);
    let pair = turn % (params.size / 2u);
    let place = (pair / params.step) * (2u * params.step) + pair % params.step;
    let at = params.out_offset + row * params.size + place;
    let a = bitcast<u32>(out_at(at));
    let b = bitcast<u32>(out_at(at + params.step));
    let upward = (place & params.run) == 0u;
    if (is_first(b, key_of(row, b), a, key_of(row, a)) == upward) {
        out_put(at, bitcast<i32>(b));
        out_put(at + params.step, bitcast<i32>(a));
    }
}
