
// Within 2 ULP: a minimax polynomial up to 0.6 (its error: 2^-33), 1 - 2 / (e^2x + 1) beyond.
fn tanh_float(x: f32) -> f32 {
    if (is_nan(x) || is_zero(x)) { return x; }
    let size = abs_float(x);
    if (size > 9.1f) { return with_sign_of(1f, x); }
    if (size > 0.6f) { return with_sign_of(1f - 2f / (exp_float(2f * size) + 1f), x); }
    let z = x * x;
    var tail = 0.00223106099f;
    tail = tail * z - 0.00826708786f;
    tail = tail * z + 0.0217344388f;
    tail = tail * z - 0.0539524741f;
    tail = tail * z + 0.133332476f;
    tail = tail * z - 0.333333313f;
    return x + x * z * tail;
}
