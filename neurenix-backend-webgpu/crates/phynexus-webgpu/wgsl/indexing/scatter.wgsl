
// Every element of the output looks for the last index that names it.
fn element(i: u32) -> Out {
    let number = params.first + i;
    let own = (number / params.inner) % params.size;
    var result = x_load(i);
    for (var left = params.count_along; left > 0u; left--) {
        let at = params.index_offset + index_rest_place(number) + (left - 1u) * params.index_step;
        if (FUNCTION(index_at(at), params.size) == own) {
            let place = params.value_offset + value_rest_place(number) + (left - 1u) * params.value_step;
            return value_at(place);
        }
    }
    return result;
}
