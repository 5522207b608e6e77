
// One invocation a word of several elements, which it alone writes; of the first and the last word
// other tensors may own a part.
@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let turn = (group.y * groups.x + group.x) * WORKGROUP + local;
    let width = 32u / OUT_LANES;
    let skipped = params.out_offset % OUT_LANES;
    var mask = 0u;
    var word = 0u;
    for (var lane = 0u; lane < OUT_LANES; lane++) {
        let i = turn * OUT_LANES + lane - skipped; // before the first element it wraps around
        if (i < params.count) {
            word |= out_bits(element(i)) << (lane * width);
            mask |= (0xffffffffu >> (32u - width)) << (lane * width);
        }
    }
    let place = params.out_offset / OUT_LANES + turn;
    if (mask == 0xffffffffu) {
        out_set(place, word);
    } else if (mask != 0u) {
        out_merge(place, mask, word);
    }
}
