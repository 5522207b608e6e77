
fn with_residual(sum: f32, number: u32) -> f32 { return sum + residual_at(params.residual_offset + number); }
