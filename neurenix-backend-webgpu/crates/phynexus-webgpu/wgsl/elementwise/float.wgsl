
// Functions of one or two float32.
//
// WGSL lets compilers assume that NaN and infinity do not occur: what tells them apart goes by the
// bits. Values are made of bits in variables, since an expression that is constant and not finite
// is an error.

fn is_nan(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}

fn is_finite(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7fffffffu) < 0x7f800000u;
}

fn float_of(bits: u32) -> f32 {
    var kept = bits;
    return bitcast<f32>(kept);
}

fn nan() -> f32 { return float_of(0x7fc00000u); }

fn infinity() -> f32 { return float_of(0x7f800000u); }

// Integers in the order of floats that are no NaN; -0 and 0 are one.
fn float_order(x: f32) -> i32 {
    let bits = bitcast<i32>(x);
    let size = bits & 0x7fffffffi;
    return select(size, -size, bits < 0i);
}

fn is_zero(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) == 0u; }

fn with_sign_of(x: f32, y: f32) -> f32 {
    return bitcast<f32>((bitcast<u32>(x) & 0x7fffffffu) | (bitcast<u32>(y) & 0x80000000u));
}

fn add_float(x: f32, y: f32) -> f32 { return x + y; }

fn sub_float(x: f32, y: f32) -> f32 { return x - y; }

fn mul_float(x: f32, y: f32) -> f32 { return x * y; }

fn div_float(x: f32, y: f32) -> f32 { return x / y; }

fn maximum_float(x: f32, y: f32) -> f32 {
    if (is_nan(x) || is_nan(y)) { return nan(); }
    return select(y, x, float_order(x) >= float_order(y));
}

fn minimum_float(x: f32, y: f32) -> f32 {
    if (is_nan(x) || is_nan(y)) { return nan(); }
    return select(y, x, float_order(x) <= float_order(y));
}

fn eq_float(x: f32, y: f32) -> i32 {
    return select(0i, 1i, !is_nan(x) && !is_nan(y) && float_order(x) == float_order(y));
}

fn ne_float(x: f32, y: f32) -> i32 { return 1i - eq_float(x, y); }

fn lt_float(x: f32, y: f32) -> i32 {
    return select(0i, 1i, !is_nan(x) && !is_nan(y) && float_order(x) < float_order(y));
}

fn le_float(x: f32, y: f32) -> i32 {
    return select(0i, 1i, !is_nan(x) && !is_nan(y) && float_order(x) <= float_order(y));
}

fn gt_float(x: f32, y: f32) -> i32 { return lt_float(y, x); }

fn ge_float(x: f32, y: f32) -> i32 { return le_float(y, x); }

fn neg_float(x: f32) -> f32 { return bitcast<f32>(bitcast<u32>(x) ^ 0x80000000u); }

fn abs_float(x: f32) -> f32 { return bitcast<f32>(bitcast<u32>(x) & 0x7fffffffu); }

fn sign_float(x: f32) -> f32 {
    if (is_nan(x) || is_zero(x)) { return x; }
    return with_sign_of(1f, x);
}

fn logical_not_float(x: f32) -> i32 { return select(0i, 1i, is_zero(x)); }

// From 2^23 on every float is an integer; NaN and infinity stay what they are.
fn is_whole(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) >= 0x4b000000u; }

fn floor_float(x: f32) -> f32 {
    if (is_whole(x)) { return x; }
    return floor(x);
}

fn ceil_float(x: f32) -> f32 {
    if (is_whole(x)) { return x; }
    return with_sign_of(ceil(x), x);
}

// Halves to even.
fn round_float(x: f32) -> f32 {
    if (is_whole(x)) { return x; }
    return with_sign_of(round(x), x);
}

fn sqrt_float(x: f32) -> f32 {
    if (is_zero(x) || is_nan(x)) { return x; }
    if (bitcast<i32>(x) < 0i) { return nan(); }
    if (!is_finite(x)) { return x; }
    return sqrt(x);
}

fn relu_float(x: f32) -> f32 {
    if (is_nan(x)) { return x; }
    return select(x, 0f, bitcast<i32>(x) < 0i);
}
