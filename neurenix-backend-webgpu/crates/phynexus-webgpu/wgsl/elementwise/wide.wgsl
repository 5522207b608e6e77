
// The product of two words: its lower and its upper word.
fn wide_product(x: u32, y: u32) -> vec2<u32> {
    let x_low = x & 0xffffu;
    let x_high = x >> 16u;
    let y_low = y & 0xffffu;
    let y_high = y >> 16u;
    let low = x_low * y_low;
    let first = x_high * y_low + (low >> 16u); // at most 2^32 - 1
    let second = x_low * y_high + (first & 0xffffu);
    return vec2<u32>((second << 16u) | (low & 0xffffu), x_high * y_high + (first >> 16u) + (second >> 16u));
}
