
// The first step starts the average of gradients.
fn element(i: u32) -> Out {
    let param = param_load(i);
    var update = decayed(param, grad_load(i));
    var average = update;
    if (params.first_step == 0u) {
        average = old_load(i) * bitcast<f32>(params.momentum) + update * bitcast<f32>(params.share);
    }
    average_put(params.average_offset + params.first + i, average);
    if (params.nesterov == 1u) {
        update += average * bitcast<f32>(params.momentum);
    } else {
        update = average;
    }
    return param - update * rate_load(i);
}
