
// x times the standard normal distribution function of x.
fn gelu_erf(x: f32) -> f32 { return 0.5f * x * (1f + erf_float(x * 0.70710678f)); }

// Its approximation by tanh.
fn gelu_tanh(x: f32) -> f32 {
    return 0.5f * x * (1f + tanh_float(x * (0.79788456f + 0.035677408f * x * x)));
}
