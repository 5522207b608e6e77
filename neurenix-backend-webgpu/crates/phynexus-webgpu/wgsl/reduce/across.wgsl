
// Sums of columns, and the like: neighbouring invocations read neighbouring elements, each a chunk of
// what an output is made of.
fn element(i: u32) -> Out {
    let number = params.first + i;
    let chunk = number / params.outputs;
    let base = params.x_offset + kept_place(number - chunk * params.outputs);
    let start = chunk * CHUNK;
    let end = min(start + CHUNK, params.reduced);
    var total = CONVERSION(x_at(base + reduced_place(start)));
    for (var r = start + 1u; r < end; r++) {
        total = FUNCTION(total, CONVERSION(x_at(base + reduced_place(r))));
    }
    return total;
}
