
// The bits of the value come in two words.
fn element(i: u32) -> Out { return FUNCTION(vec2<u32>(params.low, params.high)); }

fn as_int(bits: vec2<u32>) -> i32 { return bitcast<i32>(bits.x); }

fn as_long(bits: vec2<u32>) -> vec2<u32> { return bits; }

fn as_float(bits: vec2<u32>) -> f32 { return bitcast<f32>(bits.x); }
