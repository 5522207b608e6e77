
// x = m 2^e with m from sqrt(1/2) to sqrt(2), of positive finite x.
struct Parts { m: f32, e: i32 }

fn parts_of(x: f32) -> Parts {
    var bits = bitcast<i32>(x);
    var e = 0i;
    if (bits < 0x00800000i) { // subnormal: bits * 2^-149
        bits = bitcast<i32>(f32(bits));
        e = -149i;
    }
    let shift = (bits - 0x3f3504f3i) >> 23u; // by sqrt(1/2)
    return Parts(bitcast<f32>(bits - (shift << 23u)), e + shift);
}

// The natural logarithm within 1.5 ULP: e ln 2 + log(1 + f), f = m - 1, by a minimax polynomial
// (relative error: 2^-30). e ln 2 is added in two parts, of which the first is exact.
fn log_float(x: f32) -> f32 {
    if (is_nan(x)) { return x; }
    if (is_zero(x)) { return -infinity(); }
    if (bitcast<i32>(x) < 0i) { return nan(); }
    if (!is_finite(x)) { return x; }
    let parts = parts_of(x);
    let f = parts.m - 1f;
    let e = f32(parts.e);
    var tail = 0.0691696405f;
    tail = tail * f - 0.117919132f;
    tail = tail * f + 0.118734017f;
    tail = tail * f - 0.123840444f;
    tail = tail * f + 0.142185658f;
    tail = tail * f - 0.166692644f;
    tail = tail * f + 0.20002231f;
    tail = tail * f - 0.249999866f;
    tail = tail * f + 0.333333105f;
    let square = f * f;
    let small = square * f * tail + e * 0.00076436806f - 0.5f * square;
    return (f + small) + e * 0.6923828125f;
}
