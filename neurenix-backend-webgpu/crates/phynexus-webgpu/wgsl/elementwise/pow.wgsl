
// x to the power of y, within 2 ULP: 2^(y log2 x), where the logarithm is a sum of two floats.
//
// Error terms such as y - ((x + y) - x) are no way to get it: drivers simplify them to 0. Here parts
// of 12 bits are cut off by their bits, and what is computed with them is exact.

// The upper 12 bits of a float's fraction: products of two such are exact.
fn upper_half(x: f32) -> f32 { return bitcast<f32>(bitcast<u32>(x) & 0xfffff000u); }

// log2 of a positive finite number: with s = (m - 1) / (m + 1), log2 m = 2 log2(e) atanh(s), whose
// tail is a minimax polynomial (its error: 2^-36). The first part has 12 bits.
fn long_log2(x: f32) -> vec2<f32> {
    let parts = parts_of(x);
    let above = parts.m - 1f; // exact
    let below = parts.m + 1f;
    let below_high = upper_half(below);
    let below_low = (1f - below_high) + parts.m;
    let s = above / below;
    let s_high = upper_half(s);
    let s_low = ((above - s_high * below_high) - s_high * below_low) / below;
    let z = s * s;
    let tail = s * z * (0.961796701f + z * (0.577082872f + z * (0.411704302f + z * 0.340259492f)));
    // 2 log2(e) = 2.884765625 + 0.00062445678
    let head = s_high * 2.884765625f;
    let low = s_high * 0.00062445678f + (s_low * 2.88539008f + tail);
    let e = f32(parts.e);
    let high = upper_half(e + head);
    return vec2<f32>(high, ((e - high) + head) + low);
}

// 2^(high + low), |low| < 1.
fn exp2_of(high: f32, low: f32) -> f32 {
    if (high >= 130f) { return infinity(); }
    if (high <= -152f) { return 0f; }
    let whole = round(high);
    let rest = (high - whole) + low;
    let n = whole + round(rest);
    let r = rest - round(rest);
    var p = 1.53150704e-5f;
    p = p * r + 0.00015467238f;
    p = p * r + 0.00133334298f;
    p = p * r + 0.00961803645f;
    p = p * r + 0.0555041097f;
    p = p * r + 0.240226507f;
    p = p * r + 0.693147182f;
    return scaled(1f + r * p, i32(n));
}

fn pow_float(x: f32, y: f32) -> f32 {
    if (is_zero(y) || bitcast<u32>(x) == 0x3f800000u) { return 1f; }
    if (is_nan(x) || is_nan(y)) { return nan(); }
    let negative = bitcast<i32>(x) < 0i;
    let y_negative = bitcast<i32>(y) < 0i;
    let whole = is_whole(y) || floor(y) == y;
    // From 2^24 on every float is even.
    let odd = whole && (bitcast<u32>(y) & 0x7fffffffu) < 0x4b800000u && (i32(y) & 1i) == 1i;
    let sign = select(1f, -1f, negative && odd);
    let size = abs_float(x);
    if (!is_finite(y)) {
        if (bitcast<u32>(size) == 0x3f800000u) { return 1f; }
        return select(0f, infinity(), (bitcast<u32>(size) > 0x3f800000u) != y_negative);
    }
    if (is_zero(x) || !is_finite(x)) {
        return select(0f, infinity(), is_zero(x) == y_negative) * sign;
    }
    if (negative && !whole) { return nan(); }
    let logarithm = long_log2(size);
    let rough = (logarithm.x + logarithm.y) * y;
    if (!is_finite(rough) || abs(rough) > 1024f) {
        return sign * select(0f, infinity(), bitcast<i32>(rough) >= 0i);
    }
    let y_high = upper_half(y);
    return sign * exp2_of(logarithm.x * y_high, logarithm.x * (y - y_high) + logarithm.y * y);
}
