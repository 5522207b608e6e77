
fn without_residual(sum: f32, number: u32) -> f32 { return sum; }
