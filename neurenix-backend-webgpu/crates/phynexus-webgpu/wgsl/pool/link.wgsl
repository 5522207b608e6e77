
// Lists, for every pixel, the windows whose gradient goes there: `out` holds the number of the one that
// came last, plus 1, and `next` of each the one before. In what order they come does not matter.
@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let number = (group.y * groups.x + group.x) * 256u + local;
    if (number >= params.windows) { return; }
    let place = FUNCTION(index_at(params.index_offset + number), params.size);
    if (place == NOWHERE) { return; }
    let pixel = (number / params.out_size) * params.size + place;
    let before = out_exchange(params.out_offset + pixel, number + 1u);
    next_put(params.next_offset + number, bitcast<i32>(before));
}
