
// Functions of one or two integers of 64 bits: vectors of the lower and the upper word.

fn add_long(x: vec2<u32>, y: vec2<u32>) -> vec2<u32> {
    let low = x.x + y.x;
    return vec2<u32>(low, x.y + y.y + select(0u, 1u, low < x.x));
}

fn neg_long(x: vec2<u32>) -> vec2<u32> { return add_long(~x, vec2<u32>(1u, 0u)); }

fn sub_long(x: vec2<u32>, y: vec2<u32>) -> vec2<u32> { return add_long(x, neg_long(y)); }

fn mul_long(x: vec2<u32>, y: vec2<u32>) -> vec2<u32> {
    let low = wide_product(x.x, y.x);
    return vec2<u32>(low.x, low.y + x.x * y.y + x.y * y.x);
}

fn is_negative_long(x: vec2<u32>) -> bool { return bitcast<i32>(x.y) < 0i; }

fn is_zero_long(x: vec2<u32>) -> bool { return (x.x | x.y) == 0u; }

fn less_long(x: vec2<u32>, y: vec2<u32>) -> bool {
    return bitcast<i32>(x.y) < bitcast<i32>(y.y) || (x.y == y.y && x.x < y.x);
}

fn eq_long(x: vec2<u32>, y: vec2<u32>) -> i32 { return select(0i, 1i, all(x == y)); }

fn ne_long(x: vec2<u32>, y: vec2<u32>) -> i32 { return select(1i, 0i, all(x == y)); }

fn lt_long(x: vec2<u32>, y: vec2<u32>) -> i32 { return select(0i, 1i, less_long(x, y)); }

fn le_long(x: vec2<u32>, y: vec2<u32>) -> i32 { return select(1i, 0i, less_long(y, x)); }

fn gt_long(x: vec2<u32>, y: vec2<u32>) -> i32 { return lt_long(y, x); }

fn ge_long(x: vec2<u32>, y: vec2<u32>) -> i32 { return le_long(y, x); }

fn maximum_long(x: vec2<u32>, y: vec2<u32>) -> vec2<u32> { return select(x, y, less_long(x, y)); }

fn minimum_long(x: vec2<u32>, y: vec2<u32>) -> vec2<u32> { return select(x, y, less_long(y, x)); }

fn abs_long(x: vec2<u32>) -> vec2<u32> { return select(x, neg_long(x), is_negative_long(x)); }

fn sign_long(x: vec2<u32>) -> vec2<u32> {
    if (is_zero_long(x)) { return x; }
    return select(vec2<u32>(1u, 0u), vec2<u32>(0xffffffffu), is_negative_long(x));
}

struct Division { quotient: vec2<u32>, remainder: vec2<u32> }

// Long division without signs, a bit at a time; the divisor is not 0.
fn divided(x: vec2<u32>, y: vec2<u32>) -> Division {
    var quotient = vec2<u32>(0u);
    var rest = vec2<u32>(0u);
    for (var bit = 64u; bit > 0u; bit--) {
        let place = bit - 1u;
        let next = (select(x.x, x.y, place >= 32u) >> (place & 31u)) & 1u;
        let carried = (rest.y & 0x80000000u) != 0u;
        rest = vec2<u32>((rest.x << 1u) | next, (rest.y << 1u) | (rest.x >> 31u));
        let fits = carried || rest.y > y.y || (rest.y == y.y && rest.x >= y.x);
        if (fits) {
            rest = sub_long(rest, y);
            if (place >= 32u) {
                quotient.y |= 1u << (place & 31u);
            } else {
                quotient.x |= 1u << place;
            }
        }
    }
    return Division(quotient, rest);
}

// Rounded down; 0 where y is 0.
fn floor_div_long(x: vec2<u32>, y: vec2<u32>) -> vec2<u32> {
    if (is_zero_long(y)) { return y; }
    let division = divided(abs_long(x), abs_long(y));
    if (is_negative_long(x) == is_negative_long(y)) { return division.quotient; }
    let inexact = !is_zero_long(division.remainder);
    return neg_long(add_long(division.quotient, vec2<u32>(select(0u, 1u, inexact), 0u)));
}

// With the sign of y; 0 where y is 0.
fn mod_long(x: vec2<u32>, y: vec2<u32>) -> vec2<u32> {
    if (is_zero_long(y)) { return y; }
    var r = divided(abs_long(x), abs_long(y)).remainder;
    if (is_negative_long(x)) { r = neg_long(r); }
    let apart = !is_zero_long(r) && is_negative_long(x) != is_negative_long(y);
    return select(r, add_long(r, y), apart);
}

fn pow_long(x: vec2<u32>, y: vec2<u32>) -> vec2<u32> {
    if (is_negative_long(y)) { // 1 / x^-y, cut to an integer
        if (all(x == vec2<u32>(1u, 0u))) { return x; }
        if (all(x == vec2<u32>(0xffffffffu))) { return select(vec2<u32>(1u, 0u), x, (y.x & 1u) == 1u); }
        return vec2<u32>(0u);
    }
    var result = vec2<u32>(1u, 0u);
    var factor = x;
    var left = y;
    while (!is_zero_long(left)) {
        if ((left.x & 1u) == 1u) { result = mul_long(result, factor); }
        factor = mul_long(factor, factor);
        left = vec2<u32>((left.x >> 1u) | (left.y << 31u), left.y >> 1u);
    }
    return result;
}

fn bitwise_and_long(x: vec2<u32>, y: vec2<u32>) -> vec2<u32> { return x & y; }

fn bitwise_or_long(x: vec2<u32>, y: vec2<u32>) -> vec2<u32> { return x | y; }

fn bitwise_xor_long(x: vec2<u32>, y: vec2<u32>) -> vec2<u32> { return x ^ y; }

// The sign is kept; more places than there are leave nothing but it.
fn shift_right_long(x: vec2<u32>, y: vec2<u32>) -> vec2<u32> {
    let high = bitcast<i32>(x.y);
    if (y.y != 0u || y.x >= 64u) { return vec2<u32>(bitcast<u32>(high >> 31u)); }
    if (y.x >= 32u) { return vec2<u32>(bitcast<u32>(high >> (y.x - 32u)), bitcast<u32>(high >> 31u)); }
    if (y.x == 0u) { return x; }
    return vec2<u32>((x.x >> y.x) | (x.y << (32u - y.x)), bitcast<u32>(high >> y.x));
}

fn floor_long(x: vec2<u32>) -> vec2<u32> { return x; }

fn ceil_long(x: vec2<u32>) -> vec2<u32> { return x; }

fn round_long(x: vec2<u32>) -> vec2<u32> { return x; }

fn relu_long(x: vec2<u32>) -> vec2<u32> { return select(x, vec2<u32>(0u), is_negative_long(x)); }

fn logical_not_long(x: vec2<u32>) -> i32 { return select(0i, 1i, is_zero_long(x)); }
