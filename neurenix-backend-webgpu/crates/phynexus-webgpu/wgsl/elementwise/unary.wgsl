
fn element(i: u32) -> Out { return FUNCTION(x_load(i)); }
