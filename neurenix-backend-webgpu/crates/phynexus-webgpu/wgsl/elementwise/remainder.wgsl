
// x - y trunc(x / y), exact: long division of the fractions, eight bits of the quotient at a time.
fn truncated_remainder(x: f32, y: f32) -> f32 {
    if (is_nan(x) || is_nan(y) || !is_finite(x) || is_zero(y)) { return nan(); }
    let divisor = bitcast<u32>(y) & 0x7fffffffu;
    let dividend = bitcast<u32>(x) & 0x7fffffffu;
    if (dividend < divisor) { return x; }
    let scale = max(divisor >> 23u, 1u);
    var left = max(dividend >> 23u, 1u) - scale; // exponents between them
    let d = (divisor & 0x7fffffu) | select(0x800000u, 0u, divisor < 0x800000u);
    var r = (dividend & 0x7fffffu) | select(0x800000u, 0u, dividend < 0x800000u);
    r %= d;
    while (left > 0u && r != 0u) {
        let step = min(left, 8u);
        r = (r << step) % d;
        left -= step;
    }
    // r * 2^(scale - 150), put together without rounding
    var bits = r;
    if (r != 0u) {
        let zeros = countLeadingZeros(r) - 8u;
        if (zeros < scale) {
            bits = ((r << zeros) & 0x7fffffu) | ((scale - zeros) << 23u);
        } else {
            bits = r << (scale - 1u);
        }
    }
    return bitcast<f32>(bits | (bitcast<u32>(x) & 0x80000000u));
}

// x - y floor(x / y): it has the sign of y.
fn mod_float(x: f32, y: f32) -> f32 {
    let r = truncated_remainder(x, y);
    if (is_nan(r)) { return r; }
    if (is_zero(r)) { return with_sign_of(0f, y); }
    let apart = (bitcast<u32>(r) ^ bitcast<u32>(y)) >> 31u == 1u;
    return select(r, select(r + y, y, !is_finite(y)), apart);
}

// The quotient rounded down; x / 0 is x / 0.
fn floor_div_float(x: f32, y: f32) -> f32 {
    if (is_zero(y)) { return x / y; }
    let r = truncated_remainder(x, y);
    if (is_nan(r)) { return r; }
    let apart = !is_zero(r) && (bitcast<u32>(r) ^ bitcast<u32>(y)) >> 31u == 1u;
    let quotient = (x - r) / y - select(0f, 1f, apart);
    if (is_zero(quotient)) { return with_sign_of(0f, x / y); }
    let down = floor_float(quotient);
    return select(down, down + 1f, quotient - down > 0.5f);
}
