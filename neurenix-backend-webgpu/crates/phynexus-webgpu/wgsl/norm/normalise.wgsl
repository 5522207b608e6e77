
// x by its channel's mean and spread, which FUNCTION makes a factor of.
fn element(i: u32) -> Out {
    let channel = channel_place(params.first + i);
    var factor = FUNCTION(spread_at(params.spread_offset + channel));
    if (HAS_WEIGHT == 1u) { factor *= weight_at(params.weight_offset + channel); }
    let value = (x_load(i) - mean_at(params.mean_offset + channel)) * factor;
    if (HAS_BIAS == 0u) { return value; }
    return value + bias_at(params.bias_offset + channel);
}

fn as_it_is(rstd: f32) -> f32 { return rstd; }

fn of_variance(variance: f32) -> f32 { return 1f / sqrt_float(variance + bitcast<f32>(params.eps)); }
