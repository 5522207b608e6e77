
// One invocation four elements: whole words of every output that is packed. All of these begin at the
// same place of a word or of two, so that the first and the last word alone may belong to others too.
@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let first = ((group.y * groups.x + group.x) * WORKGROUP + local) * 4u;
    let skipped = params.out_offset % 4u;
    for (var lane = 0u; lane < 4u; lane++) {
        let i = first + lane - skipped; // before the first element it wraps around
        if (i < params.count) {
            out_kept = element(i);
            gather(lane);
        }
    }
    flush(first - skipped);
}
