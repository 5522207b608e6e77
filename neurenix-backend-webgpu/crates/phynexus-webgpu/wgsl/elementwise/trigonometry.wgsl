
// Sine and cosine within 2 ULP, from 8192 on within 3.

// x = k pi/2 + r with |r| <= pi/4 (and a little): r, and the last two bits of k.
struct Reduced { r: f32, quadrant: u32 }

// 2/pi in words of 32 bits, after a word of zeros.
const TWO_OVER_PI: array<u32, 8> = array<u32, 8>(
    0u, 0xa2f9836eu, 0x4e441529u, 0xfc2757d1u, 0xf534ddc0u, 0xdb629599u, 0x3c439041u, 0xfe5163abu,
);

fn two_over_pi_from(bit: u32) -> u32 {
    var words = TWO_OVER_PI;
    let word = bit / 32u;
    let shift = bit % 32u;
    if (shift == 0u) { return words[word]; }
    return (words[word] << shift) | (words[min(word + 1u, 7u)] >> (32u - shift));
}

fn reduced(x: f32) -> Reduced {
    if (abs(x) < 8192f) {
        // pi/2 in four parts, of which k times the first three is exact (Cody and Waite 1980).
        let k = round(x * 0.636619772f);
        let r = ((x - k * 1.5703125f) - k * 0.0004837512969970703f) - k * 7.549533620476723e-8f;
        return Reduced(r - k * 2.5633440682570896e-12f, u32(i32(k)));
    }
    // x = m 2^e; m times 96 bits of 2/pi, from the one on that makes 2 in the product, modulo 4
    // (Payne and Hanek 1983).
    let bits = bitcast<u32>(x);
    let m = (bits & 0x7fffffu) | 0x800000u;
    let e = i32((bits >> 23u) & 0xffu) - 150i;
    let start = u32(32i + e - 2i);
    let high = m * two_over_pi_from(start);
    let middle = wide_product(m, two_over_pi_from(start + 32u));
    let low = wide_product(m, two_over_pi_from(start + 64u));
    var fraction = vec2<u32>(middle.x + low.y, high + middle.y);
    fraction.y += select(0u, 1u, fraction.x < low.y);
    var quadrant = fraction.y >> 30u;
    fraction = vec2<u32>(fraction.x << 2u, (fraction.y << 2u) | (fraction.x >> 30u));
    let above = (fraction.y & 0x80000000u) != 0u; // half a quadrant or more: count from the next
    if (above) {
        quadrant += 1u;
        fraction = ~fraction;
    }
    // The first 32 bits that are not all zero, as a float.
    let zeros = countLeadingZeros(fraction.y);
    var top = fraction.y;
    if (zeros > 0u && zeros < 32u) {
        top = (fraction.y << zeros) | (fraction.x >> (32u - zeros));
    } else if (zeros == 32u) {
        top = fraction.x;
    }
    let size = f32(top) * 0x1p-32f * power_of_two(-i32(zeros)) * 1.57079633f;
    let negative = above != (bitcast<i32>(x) < 0i);
    return Reduced(select(size, -size, negative), select(quadrant, 4u - quadrant, bitcast<i32>(x) < 0i));
}

// Minimax polynomials; errors of 2^-37 and 2^-33.
fn sine_near_zero(r: f32) -> f32 {
    let z = r * r;
    return r + r * z * (-0.166666672f + z * (0.00833332911f + z * (-0.000198393274f + z * 2.71823728e-6f)));
}

fn cosine_near_zero(r: f32) -> f32 {
    let z = r * r;
    return 1f - (0.5f * z - z * z * (0.0416666456f + z * (-0.00138873619f + z * 2.44377279e-5f)));
}

fn sine_in_quadrant(reduced: Reduced) -> f32 {
    let odd = (reduced.quadrant & 1u) != 0u;
    let value = select(sine_near_zero(reduced.r), cosine_near_zero(reduced.r), odd);
    return select(value, -value, (reduced.quadrant & 2u) != 0u);
}

fn sin_float(x: f32) -> f32 {
    if (!is_finite(x)) { return nan(); }
    if (is_zero(x)) { return x; }
    return sine_in_quadrant(reduced(x));
}

fn cos_float(x: f32) -> f32 {
    if (!is_finite(x)) { return nan(); }
    let turned = reduced(x);
    return sine_in_quadrant(Reduced(turned.r, turned.quadrant + 1u));
}
