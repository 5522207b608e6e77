
fn element(i: u32) -> Out { return x_load(i); }
