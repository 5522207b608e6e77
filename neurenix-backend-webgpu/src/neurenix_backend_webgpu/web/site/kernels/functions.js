// Functions of numbers that JavaScript has not.

/** The nearest integer, halves to the even one. */
export function roundHalfEven(value) {
  const below = Math.floor(value);
  const rest = value - below;
  if (rest < 0.5) return below;
  if (rest > 0.5) return below + 1;
  return below % 2 === 0 ? below : below + 1;
}

/** The error function, to about 1e-15: its series, or the continued fraction of its complement. */
export function erf(value) {
  const x = Math.abs(value);
  if (Number.isNaN(x)) return NaN;
  if (x > 6) return Math.sign(value);
  if (x < 2.5) {
    // erf(x) = 2/sqrt(pi) exp(-x^2) sum of 2^n x^(2n+1) / (1 * 3 * ... * (2n+1)): all terms of
    // one sign, so that nothing cancels.
    let term = x;
    let sum = x;
    for (let n = 1; term > 1e-17 * sum; n++) {
      term *= (2 * x * x) / (2 * n + 1);
      sum += term;
    }
    return Math.sign(value) * (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
  }
  // erfc(x) = exp(-x^2)/sqrt(pi) * 1/(x + (1/2)/(x + (2/2)/(x + (3/2)/(x + ...)))).
  let fraction = x;
  for (let n = 60; n > 0; n--) fraction = x + n / 2 / fraction;
  return Math.sign(value) * (1 - Math.exp(-x * x) / (Math.sqrt(Math.PI) * fraction));
}

export function sigmoid(x) {
  return 1 / (1 + Math.exp(-x));
}

/** Gaussian error linear unit: x times the normal distribution function. */
export function gelu(x) {
  return 0.5 * x * (1 + erf(x * Math.SQRT1_2));
}

/** Its approximation by tanh. */
export function geluByTanh(x) {
  return 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x)));
}
