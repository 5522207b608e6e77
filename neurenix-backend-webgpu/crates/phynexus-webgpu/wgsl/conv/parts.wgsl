
// The sum of the parts of a gradient, in their order.
fn element(i: u32) -> Out {
    let first = params.parts_offset + params.first + i;
    var sum = parts_at(first);
    for (var part = 1u; part < params.count_parts; part++) {
        sum += parts_at(first + part * params.step);
    }
    return sum;
}
