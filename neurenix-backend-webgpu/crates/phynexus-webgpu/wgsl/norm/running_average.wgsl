
fn element(i: u32) -> Out {
    let running = running_load(i);
    return running + bitcast<f32>(params.momentum) * (value_load(i) - running);
}
