
fn with_bias(sum: f32, column: u32) -> f32 { return sum + bias_at(params.bias_offset + column); }
