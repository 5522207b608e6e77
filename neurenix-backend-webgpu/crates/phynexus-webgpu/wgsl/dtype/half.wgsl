
// One of the two float16 in a word, by the adapter's own conversion.
fn unpack_half(word: u32, number: u32) -> f32 {
    let both = unpack2x16float(word);
    return select(both.x, both.y, number == 1u);
}
