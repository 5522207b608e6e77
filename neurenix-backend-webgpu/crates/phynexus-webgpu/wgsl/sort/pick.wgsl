
// The elements of rows in their order, and the numbers that they have.
fn element(i: u32) -> Out {
    let number = params.first + i;
    let place = (number / params.inner) % params.kept;
    let row = (number / (params.inner * params.kept)) * params.inner + number % params.inner;
    let found = bitcast<u32>(order_at(params.order_offset + row * params.size + place));
    indices_put(params.indices_offset + number, vec2<u32>(found, 0u));
    let first = (row / params.inner) * (params.width * params.inner) + row % params.inner;
    return x_at(params.x_offset + first + found * params.inner);
}
