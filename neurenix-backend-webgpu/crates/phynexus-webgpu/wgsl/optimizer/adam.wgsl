
fn element(i: u32) -> Out {
    let param = param_load(i);
    let rate = rate_load(i);
    let step = step_load(i);
    let grad = decayed(param, grad_load(i));
    let old_first = old_first_load(i);
    let first = old_first + (grad - old_first) * bitcast<f32>(params.share1);
    let second = old_second_load(i) * bitcast<f32>(params.beta2) + grad * grad * bitcast<f32>(params.share2);
    let place = params.first + i;
    first_put(params.first_offset + place, first);
    second_put(params.second_offset + place, second);
    let root = sqrt(less_than_one(step * bitcast<f32>(params.log_beta2)));
    let size = rate / less_than_one(step * bitcast<f32>(params.log_beta1));
    let update = first / (sqrt_float(second) / root + bitcast<f32>(params.eps)) * size;
    let decay = bitcast<f32>(params.decoupled_decay);
    if (decay == 0f) { return param - update; }
    return param * (1f - rate * decay) - update;
}

// 1 - e^y for y <= 0, without cancellation: by its series near 0.
fn less_than_one(y: f32) -> f32 {
    if (y < -0.5f) { return 1f - exp_float(y); }
    var tail = 1f + y * (1f / 8f);
    tail = 1f + y * (1f / 7f) * tail;
    tail = 1f + y * (1f / 6f) * tail;
    tail = 1f + y * (1f / 5f) * tail;
    tail = 1f + y * (1f / 4f) * tail;
    tail = 1f + y * (1f / 3f) * tail;
    tail = 1f + y * (1f / 2f) * tail;
    return -y * tail;
}
