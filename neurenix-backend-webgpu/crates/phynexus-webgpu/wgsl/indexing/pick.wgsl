
// The last value that an index has sent here, if any.
fn element(i: u32) -> Out {
    let last = bitcast<u32>(last_at(params.last_offset + params.first + i));
    if (last == 0u) { return x_load(i); }
    return value_at(params.value_offset + value_rest_place(i) + (last - 1u) * params.value_step);
}
