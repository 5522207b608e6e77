
// Every element of the output adds up the values whose index names it, in their order.
fn element(i: u32) -> Out {
    let number = params.first + i;
    let own = (number / params.inner) % params.size;
    var result = x_load(i);
    for (var j = 0u; j < params.count_along; j++) {
        let at = params.index_offset + index_rest_place(number) + j * params.index_step;
        if (FUNCTION(index_at(at), params.size) == own) {
            let place = params.value_offset + value_rest_place(number) + j * params.value_step;
            result = ADDITION(result, value_at(place));
        }
    }
    return result;
}
