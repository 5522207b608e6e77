
// Every place notes the last of the entries that name it, by its number plus 1.
@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let entry = (group.y * groups.x + group.x) * 256u + local;
    if (entry >= params.entries) { return; }
    let place = bitcast<u32>(place_at(params.place_offset + entry));
    if (place != 0xffffffffu) { out_max(params.out_offset + place, entry + 1u); }
}
