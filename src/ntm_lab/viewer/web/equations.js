// The equations of the papers, one function each, by the names they have in ntm_lab/equations, where the sources are.
// There all heads are computed at once; here a function is one head's: weightings have N numbers, vectors W.

import { argsort, dot, softmax, vector } from "./numbers.js";

const NORM_GUARD = 1e-6; // inside the root, so that a zero row has similarity 0
const LOG_GUARD = 1e-12; // log 0
const ALLOCATION_GUARD = 1e-6; // one wholly free slot must leave something for the others
const SHARPNESS_GUARD = 1e-6; // log 0, where a slot has no link

// Addressing by content

// softmax(β · cosine(k, M)); with a mask the cosine compares only what it lets through.
export function content_weighting(memory, key, strength, mask = null) {
  const squares = mask ? mask.map((part) => part * part) : vector(key.length, 1);
  let norm = 0;
  for (let j = 0; j < key.length; j++) norm += squares[j] * key[j] * key[j];
  const scale = strength / Math.sqrt(norm + NORM_GUARD);
  return softmax(
    memory.map((row) => {
      let product = 0;
      let length = 0;
      for (let j = 0; j < row.length; j++) {
        product += squares[j] * key[j] * row[j];
        length += squares[j] * row[j] * row[j];
      }
      return (scale * product) / Math.sqrt(length + NORM_GUARD);
    }),
  );
}

// Addressing by location

// g · w_c + (1 − g) · w_{t−1}
export const interpolate = (content, previous, gate) => content.map((w, i) => gate * w + (1 - gate) * previous[i]);

// Σ_j w(i − j) s(j), around the ring of slots; the entries of the shift are for the offsets −s … s.
export function shift_weighting(weighting, shift) {
  const count = weighting.length;
  const reach = (shift.length - 1) / 2;
  return weighting.map((_, i) => {
    let sum = 0;
    for (let s = 0; s < shift.length; s++) sum += shift[s] * weighting[(i - (s - reach) + count * shift.length) % count];
    return sum;
  });
}

// w(i)^γ / Σ_j w(j)^γ
export const sharpen = (weighting, sharpness) => softmax(weighting.map((w) => sharpness * Math.log(w + LOG_GUARD)));

// Reading and writing

// Σ_i w(i) M(i)
export function read(memory, weighting) {
  const result = vector(memory[0].length);
  memory.forEach((row, i) => {
    for (let j = 0; j < row.length; j++) result[j] += weighting[i] * row[j];
  });
  return result;
}

// M(i) ∘ Π_h (1 − w_h(i) e_h) + Σ_h w_h(i) a_h; a weighting, an erase and an add vector for each head.
export const write = (memory, weightings, erases, adds) =>
  memory.map((row, i) =>
    row.map((value, j) => {
      let kept = value;
      let added = 0;
      for (let h = 0; h < weightings.length; h++) {
        kept *= 1 - weightings[h][i] * erases[h][j];
        added += weightings[h][i] * adds[h][j];
      }
      return kept + added;
    }),
  );

// Dynamic allocation, of the DNC

// Π_r (1 − f_r w_r): how much of each slot is not freed.
export const retention = (free_gates, read_weightings) =>
  read_weightings[0].map((_, i) => read_weightings.reduce((kept, w, r) => kept * (1 - free_gates[r] * w[i]), 1));

// (u + w − u w) ψ
export const usage = (previous, write_weighting, kept) =>
  previous.map((u, i) => (u + write_weighting[i] - u * write_weighting[i]) * kept[i]);

// (1 − u[φ_j]) Π_{i<j} u[φ_i], where φ sorts the slots by usage.
export function allocation(used) {
  const guarded = used.map((u) => ALLOCATION_GUARD + (1 - ALLOCATION_GUARD) * u);
  const result = vector(used.length);
  let before = 1;
  for (const slot of argsort(guarded)) {
    result[slot] = (1 - guarded[slot]) * before;
    before *= guarded[slot];
  }
  return result;
}

// Temporal links, of the DNC

// (1 − Σ w) p + w
export function precedence(previous, write_weighting) {
  const rest = 1 - write_weighting.reduce((a, b) => a + b, 0);
  return previous.map((p, i) => rest * p + write_weighting[i]);
}

// L[i, j] = (1 − w_i − w_j) L[i, j] + w_i p_j, 0 on the diagonal: whether i was written after j.
export const link = (previous, preceding, w) =>
  previous.map((row, i) => row.map((linked, j) => (i === j ? 0 : (1 - w[i] - w[j]) * linked + w[i] * preceding[j])));

// L w: what was written after the slots last read.
export const forward_weighting = (links, read_weighting) => Float64Array.from(links, (row) => dot(row, read_weighting));

// Lᵀ w: what was written before them.
export function backward_weighting(links, read_weighting) {
  const result = vector(read_weighting.length);
  links.forEach((row, i) => row.forEach((linked, j) => (result[j] += linked * read_weighting[i])));
  return result;
}

// ((w + ε) / max)^s, renormalised
export const sharpen_links = (weighting, sharpness) =>
  softmax(weighting.map((w) => sharpness * Math.log(w + SHARPNESS_GUARD)));

// π₁ b + π₂ c + π₃ f
export const mix_modes = (backward, content, forward, mode) =>
  content.map((c, i) => mode[0] * backward[i] + mode[1] * c + mode[2] * forward[i]);

// Least recently used access, of the MANN

// γ u + w_r + w_w, summed over heads
export const decayed_usage = (previous, read_weightings, write_weightings, decay) =>
  previous.map((u, i) => [...read_weightings, ...write_weightings].reduce((sum, w) => sum + w[i], decay * u));

// The `count` least used slots, one-hot, the least used first.
export const least_used = (used, count) =>
  argsort(used)
    .slice(0, count)
    .map((slot) => vector(used.length).fill(1, slot, slot + 1));

// g w_{t−1} + (1 − g) w_lu
export const least_recently_used = (gate, previous, least) => previous.map((w, i) => gate * w + (1 - gate) * least[i]);

// Set slots, each one-hot, to zero.
export const erase_slots = (memory, slots) =>
  memory.map((row, i) => (slots.some((slot) => slot[i] === 1) ? vector(row.length) : row.slice()));

// M + Σ_h w_h a_h
export const add = (memory, weightings, vectors) =>
  memory.map((row, i) => row.map((value, j) => vectors.reduce((sum, a, h) => sum + weightings[h][i] * a[j], value)));
