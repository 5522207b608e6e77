
// The logarithm of the probability of each sample's class, with its sign changed.
fn element(i: u32) -> Out {
    let row = params.first + i;
    let place = FUNCTION(target_at(params.target_offset + row), params.classes);
    if (place == NOWHERE) { return nan(); }
    return neg_float(log_probs_at(params.log_probs_offset + row * params.classes + place));
}
