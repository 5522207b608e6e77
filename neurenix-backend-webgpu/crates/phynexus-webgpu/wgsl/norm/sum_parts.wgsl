
// The sum of what several workgroups have made of an element, in their order.
fn element(i: u32) -> Out {
    let start = params.parts_offset + params.first + i;
    var total = 0f;
    for (var part = 0u; part < params.parts; part++) { total += parts_at(start + part * params.step); }
    return total;
}
