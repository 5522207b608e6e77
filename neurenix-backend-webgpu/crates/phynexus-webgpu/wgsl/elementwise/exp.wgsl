
// 2^n for whole n from -126 to 127.
fn power_of_two(n: i32) -> f32 { return bitcast<f32>(u32(n + 127i) << 23u); }

// x * 2^n for n from -252 to 254, rounded once.
fn scaled(x: f32, n: i32) -> f32 {
    let half = n / 2i;
    return x * power_of_two(half) * power_of_two(n - half);
}

// e^x within 1.5 ULP: x = n ln 2 + r, and e^r by a minimax polynomial of |r| <= ln 2 / 2 (its error:
// 2^-28). n ln 2 is taken away in two parts, of which the first is exact.
fn exp_float(x: f32) -> f32 {
    if (is_nan(x)) { return x; }
    if (x > 88.72284f) { return infinity(); }
    if (x < -104f) { return 0f; }
    let n = round(x * 1.44269504f);
    let r = (x - n * 0.6923828125f) - n * 0.00076436806f;
    let tail = 0.5f + r * (0.166665182f + r * (0.041666206f + r * (0.00836891774f + r * 0.00139505381f)));
    return scaled(1f + (r + r * r * tail), i32(n));
}
