
// start + i * step, in 64 bits: it has to agree with other devices to the bit.
fn element(i: u32) -> Out {
    let steps = mul_long(vec2<u32>(params.first + i, 0u), vec2<u32>(params.step_low, params.step_high));
    return FUNCTION(add_long(vec2<u32>(params.start_low, params.start_high), steps));
}
