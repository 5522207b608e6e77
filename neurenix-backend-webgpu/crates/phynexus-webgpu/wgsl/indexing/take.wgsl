
// The elements of slices that an index names along the first axis.
fn element(i: u32) -> Out {
    let turn = params.first + i;
    let place = FUNCTION(index_at(params.index_offset + turn / params.width), params.size);
    if (place == NOWHERE) {
        var nothing = Out();
        return nothing;
    }
    return x_at(params.x_offset + place * params.width + turn % params.width);
}
