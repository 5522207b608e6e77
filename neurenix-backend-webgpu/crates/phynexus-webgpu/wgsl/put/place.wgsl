
// The place that several indices name together, so far as they have been read.
fn element(i: u32) -> Out {
    let place = FUNCTION(index_load(i), params.size);
    let before = bitcast<u32>(before_load(i));
    if (place == NOWHERE || before == NOWHERE) { return bitcast<i32>(NOWHERE); }
    return bitcast<i32>(before * params.size + place);
}
