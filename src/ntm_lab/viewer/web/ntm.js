// The memory access of the Neural Turing Machine; ntm_lab/nn/access/ntm.py.

import { content_weighting, interpolate, read, sharpen, shift_weighting, write } from "./equations.js";

// One step: reads, the state after it, signals by the names of `trace`, and `kept`, the share of each slot's old contents
// that is still there. `stages` holds, for each head, what the bars beside the memory show.
export function ntmStep(access, heads, state) {
  const { memory } = state;
  const stages = heads.key.map((key, head) => {
    const content = content_weighting(memory, key, heads.strength[head]);
    const gated = interpolate(content, state.weighting[head], heads.gate[head]);
    const shifted = shift_weighting(gated, heads.shift[head]);
    return { content, gated, shifted, sharpened: sharpen(shifted, heads.sharpness[head]) };
  });
  const weighting = stages.map((stage) => stage.sharpened);
  const read_weighting = weighting.slice(0, access.read_heads);
  const write_weighting = weighting.slice(access.read_heads);
  const after = write(memory, write_weighting, heads.erase, heads.add);
  return {
    reads: read_weighting.map((w) => read(memory, w)),
    state: { memory: after, weighting },
    signals: { read_weighting, write_weighting, memory: after },
    kept: kept(write_weighting, heads.erase),
    stages: { read: stages.slice(0, access.read_heads), write: stages.slice(access.read_heads) },
  };
}

// The share of each slot that erasing leaves, in the mean over its numbers.
export const kept = (weightings, erases) => {
  const means = erases.map((erase) => erase.reduce((a, b) => a + b, 0) / erase.length);
  return weightings[0].map((_, i) => weightings.reduce((share, w, h) => share * (1 - w[i] * means[h]), 1));
};
