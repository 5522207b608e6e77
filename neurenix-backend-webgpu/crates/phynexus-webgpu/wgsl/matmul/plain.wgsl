
fn plain(sum: f32, column: u32) -> f32 { return sum; }
