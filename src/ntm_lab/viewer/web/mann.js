// The memory access of the Memory-Augmented Neural Network; ntm_lab/nn/access/mann.py.

import { add, content_weighting, decayed_usage, erase_slots, least_recently_used, least_used, read } from "./equations.js";

// As `ntmStep`; `late` has the weightings by which a vector is added to what the step before wrote.
export function mannStep(access, heads, state) {
  const before = heads.late ? add(state.memory, state.write_weighting, heads.late) : state.memory;
  const least = least_used(state.usage, access.read_heads);
  const together = least[0].map((_, i) => least.reduce((sum, slot) => sum + slot[i], 0));
  const targets = access.own_slots ? least : least.map(() => together);
  const last = access.to_written ? state.write_weighting : state.read_weighting;
  const write_weighting = heads.gate.map((gate, head) => least_recently_used(gate, last[head], targets[head]));
  const memory = add(erase_slots(before, least), write_weighting, heads.add ?? heads.key);

  const shown = access.read_first ? before : memory;
  const read_weighting = heads.key.map((key, head) => content_weighting(shown, key, heads.strength?.[head] ?? 1));
  const used = decayed_usage(state.usage, read_weighting, write_weighting, access.usage_decay);
  return {
    reads: read_weighting.map((w) => read(shown, w)),
    state: { memory, usage: used, read_weighting, write_weighting },
    signals: { write_weighting, memory, read_weighting, usage: used },
    kept: together.map((erased) => 1 - Math.min(1, erased)),
    late: heads.late ? state.write_weighting : null,
    stages: {
      read: read_weighting.map((content) => ({ content })),
      write: write_weighting.map((w, head) => ({ usage: state.usage, least: targets[head], last: last[head], gated: w })),
    },
  };
}
