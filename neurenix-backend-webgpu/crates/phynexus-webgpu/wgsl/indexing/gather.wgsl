
fn element(i: u32) -> Out {
    let place = FUNCTION(index_load(i), params.size);
    if (place == NOWHERE) {
        var nothing: Out;
        return nothing;
    }
    return x_at(params.x_offset + rest_place(params.first + i) + place * params.step);
}
