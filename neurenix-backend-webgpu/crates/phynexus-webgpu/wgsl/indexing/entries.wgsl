
// One invocation a value: it does something at the element of the output that its index names.
@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = (group.y * groups.x + group.x) * 256u + local;
    if (i >= params.entries) { return; }
    let place = FUNCTION(index_at(params.index_offset + index_place(i)), params.size);
    if (place == NOWHERE) { return; }
    let element = element_place(i) + place * params.inner;
    ACTION(element, value_at(params.value_offset + value_place(i)), (i / params.index_inner) % params.along);
}
