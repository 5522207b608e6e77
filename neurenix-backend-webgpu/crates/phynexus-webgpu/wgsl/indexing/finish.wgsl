
// x and the sum that has gathered beside it.
fn element(i: u32) -> Out { return FUNCTION(params.first + i, x_load(i)); }

fn with_int_sum(i: u32, x: i32) -> i32 { return x + sums_at(params.sums_offset + i); }

fn with_float_sum(i: u32, x: f32) -> f32 {
    let place = params.sums_offset + 4u * i;
    let largest = bitcast<u32>(sums_at(place));
    let first = sums_at(place + 1u);
    let second = sums_at(place + 2u);
    if (largest > 0x7f800000u || (largest == 0x7f800000u && first != 0i && second != 0i)) { return nan(); }
    if (largest == 0x7f800000u) { return x + select(infinity(), -infinity(), second != 0i); }
    if (largest == 0u) { return x; }
    let low = f32(second) + f32(sums_at(place + 3u)) * 0x1p-13f;
    return x + scaled(f32(first) + low * 0x1p-13f, i32(largest >> 23u) - 139i);
}
