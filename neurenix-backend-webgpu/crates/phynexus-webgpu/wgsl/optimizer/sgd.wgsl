
fn element(i: u32) -> Out {
    let param = param_load(i);
    return param - decayed(param, grad_load(i)) * rate_load(i);
}
