
// start + i * step of floats. The step comes as 12 bits and a rest, the start as a float and a rest;
// products with parts of 12 bits are exact, so that up to 2^24 elements drift by no more than the
// rounding of the sum.
fn element(i: u32) -> Out {
    let place = params.first + i;
    let step = bitcast<f32>(params.step_high);
    let coarse = bitcast<f32>(params.start_high) + f32(place & 0xfffff000u) * step;
    let fine = f32(place) * bitcast<f32>(params.step_low) + bitcast<f32>(params.start_low);
    return coarse + (f32(place & 0xfffu) * step + fine);
}
