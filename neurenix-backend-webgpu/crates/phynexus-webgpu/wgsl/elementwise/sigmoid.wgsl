
// 1 / (1 + e^-x), without overflow.
fn sigmoid_float(x: f32) -> f32 {
    let small = exp_float(-abs_float(x));
    return select(small, 1f, bitcast<i32>(x) >= 0i) / (1f + small);
}

// x sigmoid(x); 0 at -infinity.
fn silu_float(x: f32) -> f32 {
    if (x < -104f) { return -0f; }
    return x * sigmoid_float(x);
}
