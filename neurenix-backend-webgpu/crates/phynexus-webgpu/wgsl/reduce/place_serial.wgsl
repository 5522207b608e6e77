
// One invocation an output: the place of the best element, the first of those that tie.
fn element(i: u32) -> Out {
    let base = params.x_offset + kept_place(params.first + i);
    var best = x_at(base + reduced_place(0u));
    var place = 0u;
    for (var r = 1u; r < params.reduced; r++) {
        let value = x_at(base + reduced_place(r));
        if (FUNCTION(value, best)) {
            best = value;
            place = r;
        }
    }
    return vec2<u32>(place, 0u);
}
