
fn without_bias(sum: f32, feature: u32) -> f32 { return sum; }
