// float16, by its bits: drivers may flush what is subnormal, and it has to survive.

fn float16_value(bits: u32) -> f32 {
    let sign = (bits & 0x8000u) << 16u;
    let exponent = (bits >> 10u) & 0x1fu;
    let fraction = bits & 0x3ffu;
    if (exponent == 31u) {
        return bitcast<f32>(sign | 0x7f800000u | (fraction << 13u));
    }
    if (exponent == 0u) {
        // fraction * 2^-24, which float32 holds as a normal number
        return bitcast<f32>(bitcast<u32>(f32(fraction) * 0x1p-24f) | sign);
    }
    return bitcast<f32>(sign | ((exponent + 112u) << 23u) | (fraction << 13u));
}

// Rounds to the nearest, ties to even.
fn float16_bits(value: f32) -> u32 {
    let bits = bitcast<u32>(value);
    let sign = (bits >> 16u) & 0x8000u;
    let size = bits & 0x7fffffffu;
    if (size > 0x7f800000u) {
        return sign | 0x7e00u;
    }
    if (size >= 0x477ff000u) { // from 65520 on it rounds to infinity
        return sign | 0x7c00u;
    }
    if (size < 0x38800000u) { // below 2^-14: subnormal, a multiple of 2^-24
        if (size < 0x33000000u) { // up to 2^-25 it rounds to zero; an exact half does too
            return sign;
        }
        let shift = 126u - (size >> 23u); // 14 to 24 places are lost
        let fraction = (size & 0x7fffffu) | 0x800000u;
        let kept = fraction >> shift;
        let lost = fraction & ((1u << shift) - 1u);
        let half = 1u << (shift - 1u);
        let up = lost > half || (lost == half && (kept & 1u) == 1u);
        return sign | (kept + select(0u, 1u, up));
    }
    let rounded = size + 0xfffu + ((size >> 13u) & 1u);
    return sign | ((rounded - 0x38000000u) >> 13u);
}
