// From logits to the answer.

/** Softmax of logits divided by the temperature. */
export function probabilitiesOf(logits, temperature) {
  const scaled = Array.from(logits, (value) => value / temperature);
  const highest = Math.max(...scaled);
  const powers = scaled.map((value) => Math.exp(value - highest));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((value) => value / sum);
}

/** The classes with their probabilities, the most probable first; equal ones in their order. */
export function ranked(classes, probabilities) {
  return classes
    .map((name, index) => ({ name, probability: probabilities[index] }))
    .sort((a, b) => b.probability - a.probability);
}
