
// One invocation an output: in blocks, so that long sums lose little.
fn element(i: u32) -> Out {
    let base = params.x_offset + kept_place(params.first + i);
    var total = CONVERSION(x_at(base + reduced_place(0u)));
    for (var r = 1u; r < BLOCK && r < params.reduced; r++) {
        total = FUNCTION(total, CONVERSION(x_at(base + reduced_place(r))));
    }
    for (var start = BLOCK; start < params.reduced; start += BLOCK) {
        var part = CONVERSION(x_at(base + reduced_place(start)));
        let end = min(start + BLOCK, params.reduced);
        for (var r = start + 1u; r < end; r++) {
            part = FUNCTION(part, CONVERSION(x_at(base + reduced_place(r))));
        }
        total = FUNCTION(total, part);
    }
    return total;
}
