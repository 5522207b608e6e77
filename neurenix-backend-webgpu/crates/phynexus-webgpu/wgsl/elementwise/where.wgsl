
fn element(i: u32) -> Out {
    if (condition_load(i) != 0i) { return x_load(i); }
    return y_load(i);
}
