
// x and the sum that has gathered beside it.
fn element(i: u32) -> Out { return add_long(x_load(i), sums_at(params.sums_offset + params.first + i)); }
