
// The last value that an index has sent here, if any.
fn element(i: u32) -> Out {
    let number = params.first + i;
    let last = bitcast<u32>(last_at(params.last_offset + number));
    if (last == 0u) { return x_load(i); }
    return value_at(params.value_offset + value_rest_place(number) + (last - 1u) * params.value_step);
}
