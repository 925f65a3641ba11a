// Small mathematics that everything here shares, and random numbers that a seed decides.
// Vectors are Float64Array, matrices arrays of such rows; torch computes in float32, so this is the more exact of the two.

export const vector = (size, value = 0) => new Float64Array(size).fill(value);
export const sigmoid = (x) => 1 / (1 + Math.exp(-x));
export const softplus = (x) => (x > 0 ? x + Math.log1p(Math.exp(-x)) : Math.log1p(Math.exp(x)));
export const clamp = (x, low, high) => Math.min(high, Math.max(low, x));
export const range = (count) => Array.from({ length: count }, (_, index) => index);

export function dot(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

export function softmax(values) {
  let largest = -Infinity;
  for (const value of values) largest = Math.max(largest, value);
  const powers = Float64Array.from(values, (value) => Math.exp(value - largest));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}

// The index of the largest value, the lowest of several.
export function argmax(values) {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i;
  return best;
}

// Indices by rising value; equal values stay in the order of their index.
export const argsort = (values) => range(values.length).sort((a, b) => values[a] - values[b] || a - b);

// W x + b; the matrix is {shape: [rows, columns], data: Float32Array}.
export function linear(weight, bias, x) {
  const [rows, columns] = weight.shape;
  const result = vector(rows);
  for (let row = 0, at = 0; row < rows; row++) {
    let sum = bias ? bias.data[row] : 0;
    for (let column = 0; column < columns; column++) sum += weight.data[at++] * x[column];
    result[row] = sum;
  }
  return result;
}

// The rows of a matrix, to be changed at will.
export const rows = ({ shape: [count, width], data }) =>
  range(count).map((row) => Float64Array.from(data.subarray(row * width, (row + 1) * width)));

// Uniform numbers in [0, 1): the generator mulberry32, so that a link with a seed shows everyone the same sequence.
export function seeded(seed) {
  let state = (seed * 0x9e3779b9 + 0x6d2b79f5) >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let bits = Math.imul(state ^ (state >>> 15), state | 1);
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61);
    return ((bits ^ (bits >>> 14)) >>> 0) / 4294967296;
  };
}

// The numbers 0 … count − 1 in random order.
export function shuffled(count, random) {
  const order = range(count);
  for (let i = count - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}
