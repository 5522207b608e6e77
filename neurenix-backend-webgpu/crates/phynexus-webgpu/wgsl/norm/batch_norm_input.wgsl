
// The gradient to the input of a batch norm:
// weight rstd (grad - mean of grad - normalised mean of (grad normalised)).
fn element(i: u32) -> Out {
    let channel = channel_place(params.first + i);
    let rstd = rstd_at(params.rstd_offset + channel);
    var scale = rstd;
    if (HAS_WEIGHT == 1u) { scale *= weight_at(params.weight_offset + channel); }
    let count = f32(params.reduced);
    let level = bias_at(params.bias_offset + channel) / count;
    let slope = products_at(params.products_offset + channel) / count;
    let normal = (x_load(i) - mean_at(params.mean_offset + channel)) * rstd;
    return (grad_load(i) - level - normal * slope) * scale;
}
