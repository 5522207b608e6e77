
// What has been put here last, else what was here.
fn element(i: u32) -> Out {
    let number = params.first + i;
    let last = bitcast<u32>(last_at(params.last_offset + number / params.width));
    if (last == 0u) { return x_load(i); }
    return value_at(params.value_offset + (last - 1u) * params.width + number % params.width);
}
