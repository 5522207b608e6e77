
// start + i * step of floats, with an error of one rounding: start and step are sums of two floats,
// and so are their products.
fn element(i: u32) -> Out {
    let place = params.first + i;
    let high = f32(place & 0xfffff000u); // both parts of the place are exact
    let low = f32(place & 0xfffu);
    let start = vec2<f32>(bitcast<f32>(params.start_high), bitcast<f32>(params.start_low));
    let step = vec2<f32>(bitcast<f32>(params.step_high), bitcast<f32>(params.step_low));
    let upper = exact_product(high, step.x);
    let lower = exact_product(low, step.x);
    let first = exact_sum_of(upper.x, lower.x);
    let second = exact_sum_of(start.x, first.x);
    return second.x + (second.y + (first.y + (upper.y + lower.y + start.y + (high + low) * step.y)));
}

// x + y as a rounded sum and its error (Knuth 1969).
fn exact_sum_of(x: f32, y: f32) -> vec2<f32> {
    let s = x + y;
    let back = s - x;
    return vec2<f32>(s, (x - (s - back)) + (y - back));
}
