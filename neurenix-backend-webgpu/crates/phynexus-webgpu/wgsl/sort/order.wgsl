
// Which of two elements of a row comes first: by their values, then by their numbers. Numbers beyond the
// row fill it up to a power of two, and come last. FUNCTION says which value is the larger one.
fn is_first(a: u32, x: X, b: u32, y: X) -> bool {
    if (a >= params.width || b >= params.width) { return a < b; }
    if (ahead(x, y)) { return true; }
    if (ahead(y, x)) { return false; }
    return a < b;
}

fn ahead(x: X, y: X) -> bool {
    if (DESCENDING == 1u) { return FUNCTION(x, y); }
    return FUNCTION(y, x);
}

// The value with a number in a row; of a number beyond it, any.
fn key_of(row: u32, number: u32) -> X {
    let first = (row / params.inner) * (params.width * params.inner) + row % params.inner;
    return x_at(params.x_offset + first + min(number, params.width - 1u) * params.inner);
}
