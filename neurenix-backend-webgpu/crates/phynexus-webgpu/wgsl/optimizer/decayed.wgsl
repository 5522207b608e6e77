
// A gradient with that of weight decay.
fn decayed(param: f32, grad: f32) -> f32 {
    let decay = bitcast<f32>(params.weight_decay);
    if (decay == 0f) { return grad; }
    return param * decay + grad;
}
