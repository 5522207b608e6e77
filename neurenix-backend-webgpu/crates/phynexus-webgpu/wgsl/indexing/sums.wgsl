
// Sums that do not depend on the order in which invocations add to them.

fn add_int_sum(element: u32, value: i32, along: u32) {
    out_add(params.out_offset + element, bitcast<u32>(value));
}

fn add_long_sum(element: u32, value: vec2<u32>, along: u32) {
    let before = out_add(params.out_offset + 2u * element, value.x);
    let carry = select(0u, 1u, before + value.x < before);
    out_add(params.out_offset + 2u * element + 1u, value.y + carry);
}

// Floats: four words an element. The first is the bits of the largest |value|, of exponent e. The
// others count multiples of 2^(e - 13), 2^(e - 26) and 2^(e - 39), into which each value is cut; up to
// 2^17 values fit. Of infinities, the second and third count those of each sign.

fn note_size(element: u32, value: f32, along: u32) {
    out_max(params.out_offset + 4u * element, bitcast<u32>(value) & 0x7fffffffu);
}

fn add_float_sum(element: u32, value: f32, along: u32) {
    let place = params.out_offset + 4u * element;
    let largest = out_at(place);
    if (largest >= 0x7f800000u) {
        if (!is_finite(value)) { out_add(place + select(1u, 2u, bitcast<i32>(value) < 0i), 1u); }
        return;
    }
    var rest = scaled(value, 139i - i32(largest >> 23u));
    for (var limb = 1u; limb < 4u; limb++) {
        let whole = round(rest);
        if (whole != 0f) { out_add(place + limb, bitcast<u32>(i32(whole))); }
        rest = (rest - whole) * 8192f;
    }
}
