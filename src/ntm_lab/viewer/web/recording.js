// One sequence as a machine lives it, step by step, and what is done to its memory on the way.

import { range } from "./numbers.js";

const KEPT_EVERY = 32; // steps between two states that are kept; what lies between is computed again when it is looked at

// What may be taken away, by names of ntm_lab.evaluation.ABLATIONS, from the step `from` on.
const ABLATIONS = {
  intact: {},
  "reads zeroed": { silentReads: true },
  "memory frozen": { frozen: true },
  "slots shuffled": { moved: "contents" },
  "memory cleared": { cleared: true },
  "slots renumbered": { moved: "slots" },
  "links cut": { cut: true },
};

// Those that change something in a machine: links are cut where it has some.
export const ablationsOf = ({ initial }) =>
  Object.fromEntries(Object.entries(ABLATIONS).filter(([, { cut }]) => !cut || initial?.zeros.link?.every(Boolean)));

// `change` says what is done: {from, silent: {read: [heads], write: [heads]}, frozen, cleared, cut, moved, order: [slots],
// edits: [{after, slot, column, value}]}. Each is as in ntm_lab/evaluation/ablations.py. Slots change places in `order`:
// their contents alone, while weightings, usage and links stay, or all that a slot has.
export const NO_CHANGE = {
  from: 0,
  silent: { read: [], write: [] },
  frozen: false,
  cleared: false,
  cut: false,
  moved: null,
  order: [],
  edits: [],
};

export class Recording {
  constructor(machine, inputs, slots = machine.slots, change = NO_CHANGE) {
    Object.assign(this, { machine, inputs, slots, change });
    this.steps = [];
    this.states = []; // before the steps 0, KEPT_EVERY, 2 · KEPT_EVERY, …
    this.stored = null; // the memory that a frozen one goes back to
    this.details = new Map();
    let state = machine.initialState(slots);
    inputs.forEach((input, t) => {
      if (t % KEPT_EVERY === 0) this.states.push(state);
      const step = this.step(t, state);
      state = step.state;
      this.steps.push(light(step));
    });
  }

  // Everything of one step, its stages and the memory after it included.
  at(t) {
    if (!this.details.has(t)) {
      this.details.clear();
      const first = t - (t % KEPT_EVERY);
      let state = this.states[first / KEPT_EVERY];
      for (let step = first; step < Math.min(first + KEPT_EVERY, this.inputs.length); step++) {
        const full = this.step(step, state);
        this.details.set(step, full);
        state = full.state;
      }
    }
    return this.details.get(t);
  }

  get logits() {
    return this.steps.map((step) => step.logits);
  }

  step(t, before) {
    const { machine, change } = this;
    if (!machine.hasMemory) return machine.step(this.inputs[t], before);
    let state = before;
    if (t === change.from) state = this.changed(state);
    if (change.frozen && t >= change.from) state = withMemory(state, this.stored);
    if (change.cut && t >= change.from) state = withoutLinks(state);
    const step = machine.step(this.inputs[t], state, t >= change.from ? change.silent : undefined);
    const edits = change.edits.filter((edit) => edit.after === t);
    if (edits.length) {
      const memory = step.state.access.memory.map((row) => row.slice());
      for (const { slot, column, value } of edits) if (memory[slot]) memory[slot][column] = value;
      step.state = withMemory(step.state, memory);
      step.signals.memory = memory;
    }
    return step;
  }

  // The state in which answering begins.
  changed(state) {
    const { change, machine, slots } = this;
    let { access } = state;
    if (change.moved === "contents") access = { ...access, memory: taken(access.memory, change.order) };
    if (change.moved === "slots") access = renumbered(access, change.order);
    if (change.cleared) access = { ...access, memory: machine.initialState(slots).access.memory };
    this.stored = access.memory;
    const reads = state.reads.map((read, head) => (change.silent.read.includes(head) ? read.map(() => 0) : read));
    return { ...state, access, reads };
  }
}

const withMemory = (state, memory) => ({ ...state, access: { ...state.access, memory } });

// A vector, or a list of rows, in another order.
const taken = (part, order) => part.map((_, place) => part[order[place]]);

// The slots in another order, with all that each of them has: a row of the memory and of the links, a column of the links,
// a number of the usage, the precedence and each weighting.
const renumbered = ({ memory, link, ...others }, order) => ({
  memory: taken(memory, order),
  ...(link && { link: taken(link, order).map((row) => taken(row, order)) }),
  ...Object.fromEntries(
    Object.entries(others).map(([name, part]) => [
      name,
      Array.isArray(part) ? part.map((weighting) => taken(weighting, order)) : taken(part, order),
    ]),
  ),
});

// No slot is linked to another; without precedence the next write makes no link either.
const withoutLinks = (state) => {
  const { link, precedence } = state.access;
  const none = { link: link.map((row) => row.map(() => 0)), precedence: precedence.map(() => 0) };
  return { ...state, access: { ...state.access, ...none } };
};

// What is kept of every step: all but what is as large as the memory.
function light({ logits, signals, kept, late }) {
  const { memory, link, ...small } = signals;
  return { logits, signals: small, kept, late };
}

// Where the vectors read at step t came from: [{head, slot, step, written, share}], the largest share first. A read head
// takes w_r(i) of slot i; of that slot a write at step s gave w_w(i), and what was erased since is gone. `written` is the
// number that the slot had at step s. Shares are of all that the heads read, 0 to 1.
export function sources(recording, t, most = 3) {
  const { machine, steps, change } = recording;
  if (!machine.hasMemory) return [];
  const readAfterWriting = machine.access.name === "DNCAccess" || machine.access.read_first === false;
  const found = [];
  for (const { head, slot, weight } of looked(steps[t].signals.read_weighting)) {
    let survives = 1;
    let written = slot;
    for (let s = readAfterWriting ? t : t - 1; s >= 0; s--) {
      if (s === change.from - 1) {
        if (change.cleared) break;
        if (change.moved) written = change.order[written];
      }
      if (change.frozen && s >= change.from && s < t) continue; // undone before the next step
      const { write_weighting } = steps[s].signals;
      const given = Math.max(...write_weighting.map((w) => w[written]));
      const share = weight * survives * given;
      if (share > 0.02) found.push({ head, slot, step: s, written, share });
      survives *= steps[s].kept[written];
      if (survives < 1e-3) break;
    }
  }
  return found.sort((a, b) => b.share - a.share).slice(0, most);
}

// The slots that read heads look at, {head, slot, weight}; what counts for less than a tenth is left out.
const looked = (weightings) =>
  weightings.flatMap((weighting, head) =>
    [...weighting].map((weight, slot) => ({ head, slot, weight })).filter(({ weight }) => weight > 0.1),
  );

// The slots that are read, or written before the first answer, in the order of the ring and as one stretch of it: what a
// memory of which little is used has to show. What is written while answering is often never read.
export function slotsInUse(recording, mask, least = 8) {
  const { machine, steps, slots } = recording;
  if (!machine.hasMemory) return [];
  const first = Math.max(mask.indexOf(true), 0) || steps.length;
  const touched = new Array(slots).fill(false);
  steps.forEach(({ signals }, t) => {
    for (const weighting of [...signals.read_weighting, ...(t < first ? signals.write_weighting : [])])
      weighting.forEach((w, slot) => w > 0.05 && (touched[slot] = true));
  });
  // The longest gap of the ring is left out; the stretch begins behind it.
  let [start, gap] = [0, 0];
  for (let first = 0; first < slots; first++) {
    let length = 0;
    while (length < slots && !touched[(first + length) % slots]) length++;
    if (length > gap) [start, gap] = [first + length, length];
  }
  if (gap >= slots) [start, gap] = [0, slots - least];
  const count = Math.min(slots, Math.max(least, slots - gap));
  const stretch = range(count).map((place) => (start + place) % slots);
  const used = stretch.filter((slot) => touched[slot]);
  const neighbours = machine.layout.some(({ fields }) => fields.some(({ name }) => name === "shift"));
  return neighbours || used.length < least ? stretch : used; // without a shift no slot is next to another
}
