
fn with_bias(sum: f32, feature: u32) -> f32 { return sum + bias_at(params.bias_offset + feature); }
