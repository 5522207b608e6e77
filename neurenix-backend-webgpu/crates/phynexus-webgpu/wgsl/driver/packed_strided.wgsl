
// One invocation an element of less than a word; its neighbours in the word may be written by others.
@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = (group.y * groups.x + group.x) * WORKGROUP + local;
    if (i >= params.count) {
        return;
    }
    let width = 32u / OUT_LANES;
    let place = out_index(i);
    let shift = (place % OUT_LANES) * width;
    let mask = (0xffffffffu >> (32u - width)) << shift;
    out_merge(place / OUT_LANES, mask, out_bits(element(i)) << shift);
}
