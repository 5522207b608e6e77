
// The value as memory would have kept it: by way of a word that no compiler knows to be 0, so that a
// sum is not joined with the product before it, nor rearranged, and the bits are those of two kernels.
fn kept(value: f32) -> f32 { return bitcast<f32>(bitcast<u32>(value) ^ params.nothing); }
