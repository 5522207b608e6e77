
// x to the power of y, within 2 ULP: 2^(y log2 x), where the logarithm and its product with y are
// sums of two floats.

// The upper 12 bits of a float's fraction: products of two such are exact.
fn upper_half(x: f32) -> f32 { return bitcast<f32>(bitcast<u32>(x) & 0xfffff000u); }

// x * y as a rounded product and its error (Dekker 1971).
fn exact_product(x: f32, y: f32) -> vec2<f32> {
    let p = x * y;
    let x_high = upper_half(x);
    let y_high = upper_half(y);
    let x_low = x - x_high;
    let y_low = y - y_high;
    return vec2<f32>(p, ((x_high * y_high - p) + x_high * y_low + x_low * y_high) + x_low * y_low);
}

// x + y as a rounded sum and its error, where |x| >= |y| or x is 0.
fn exact_sum(x: f32, y: f32) -> vec2<f32> {
    let s = x + y;
    return vec2<f32>(s, y - (s - x));
}

// log2 of a positive finite number: with s = (m - 1) / (m + 1), log2 m = 2 log2(e) atanh(s), whose
// tail is a minimax polynomial (its error: 2^-36).
fn exact_log2(x: f32) -> vec2<f32> {
    let parts = parts_of(x);
    let above = parts.m - 1f; // exact
    let below = exact_sum(select(1f, parts.m, parts.m > 1f), select(parts.m, 1f, parts.m > 1f));
    let s = above / below.x;
    let back = exact_product(s, below.x);
    let s_low = ((above - back.x) - back.y - s * below.y) / below.x;
    let z = s * s;
    let tail = s * z * (0.961796701f + z * (0.577082872f + z * (0.411704302f + z * 0.340259492f)));
    let head = exact_product(2f * s, 1.44269502f);
    let low = head.y + (2f * s * 1.925963e-8f + (2f * s_low * 1.44269502f + tail));
    let e = f32(parts.e);
    let first = exact_sum(e, head.x);
    return exact_sum(first.x, first.y + low);
}

fn exp2_of(high: f32, low: f32) -> f32 {
    if (high >= 129f) { return infinity(); }
    if (high <= -151f) { return 0f; }
    let n = round(high);
    let r = (high - n) + low;
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
    let logarithm = exact_log2(size);
    let high = exact_product(logarithm.x, upper_half(y));
    let rest = logarithm.x * (y - upper_half(y));
    if (abs(high.x) > 1024f) { // infinite as a product, it has no error to speak of
        return sign * select(0f, infinity(), bitcast<i32>(high.x) >= 0i);
    }
    let total = exact_sum(high.x, rest);
    return sign * exp2_of(total.x, total.y + (high.y + logarithm.y * y));
}
