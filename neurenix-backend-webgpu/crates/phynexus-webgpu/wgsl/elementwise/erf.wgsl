
// Within 2.5 ULP: x times a minimax polynomial in x^2 up to 1 (its error: 2^-29), beyond, 1 - e^p(x)
// with a polynomial for the logarithm of erfc. From 4 on it rounds to 1.
fn erf_float(x: f32) -> f32 {
    if (is_nan(x)) { return x; }
    let size = abs_float(x);
    if (size >= 4f) { return with_sign_of(1f, x); }
    if (size > 1f) {
        var p = 2.12085638e-7f;
        p = p * size - 2.47542357e-5f;
        p = p * size + 0.000460357813f;
        p = p * size - 0.00427063601f;
        p = p * size + 0.025348926f;
        p = p * size - 0.108606599f;
        p = p * size - 0.63306576f;
        p = p * size - 1.1296494f;
        p = p * size + 0.000202065436f;
        return with_sign_of(1f - exp_float(p), x);
    }
    let z = x * x;
    var p = 7.8891193e-5f;
    p = p * z - 0.000802084105f;
    p = p * z + 0.00518953521f;
    p = p * z - 0.0268544443f;
    p = p * z + 0.112836003f;
    p = p * z - 0.37612626f;
    p = p * z + 1.12837911f;
    return x * p;
}
