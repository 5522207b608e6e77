
// Between the three kinds of values. Floats are cut toward zero, and what an integer does not hold
// becomes the nearest that it does; NaN becomes 0.

fn float_to_float(x: f32) -> f32 { return x; }

fn int_to_int(x: i32) -> i32 { return x; }

fn long_to_long(x: vec2<u32>) -> vec2<u32> { return x; }

fn float_to_int(x: f32) -> i32 {
    if (is_nan(x)) { return 0i; }
    if (x >= 0x1p31f) { return 0x7fffffffi; }
    if (x < -0x1p31f) { return -0x7fffffffi - 1i; }
    return i32(x);
}

fn float_to_truth(x: f32) -> i32 { return 1i - logical_not_float(x); }

fn int_to_truth(x: i32) -> i32 { return select(1i, 0i, x == 0i); }

fn long_to_truth(x: vec2<u32>) -> i32 { return 1i - logical_not_long(x); }

fn int_to_float(x: i32) -> f32 { return f32(x); }

fn int_to_long(x: i32) -> vec2<u32> { return vec2<u32>(bitcast<u32>(x), bitcast<u32>(x >> 31u)); }

fn long_to_int(x: vec2<u32>) -> i32 { return bitcast<i32>(x.x); }

fn float_to_long(x: f32) -> vec2<u32> {
    if (is_nan(x)) { return vec2<u32>(0u); }
    let bits = bitcast<u32>(x) & 0x7fffffffu;
    let negative = bitcast<i32>(x) < 0i;
    if (bits >= 0x5f000000u) { // 2^63 or more
        return select(vec2<u32>(0xffffffffu, 0x7fffffffu), vec2<u32>(0u, 0x80000000u), negative);
    }
    let fraction = (bits & 0x7fffffu) | 0x800000u;
    let shift = i32(bits >> 23u) - 150i;
    var size = vec2<u32>(0u);
    if (shift >= 32i) {
        size.y = fraction << u32(shift - 32i);
    } else if (shift > 0i) {
        size = vec2<u32>(fraction << u32(shift), fraction >> u32(32i - shift));
    } else if (shift > -24i) {
        size.x = fraction >> u32(-shift);
    }
    return select(size, neg_long(size), negative);
}

// Rounded once: below the upper 32 bits, all that matters is whether there is anything.
fn long_to_float(x: vec2<u32>) -> f32 {
    let size = abs_long(x);
    if (size.y == 0u) {
        return select(f32(size.x), -f32(size.x), is_negative_long(x));
    }
    let zeros = countLeadingZeros(size.y);
    var top = size.y;
    var rest = size.x;
    if (zeros > 0u) {
        top = (size.y << zeros) | (size.x >> (32u - zeros));
        rest = size.x << zeros;
    }
    let value = f32(top | select(0u, 1u, rest != 0u)) * bitcast<f32>((127u + 32u - zeros) << 23u);
    return select(value, -value, is_negative_long(x));
}
