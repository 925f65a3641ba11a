// The loop of a controller around a memory, the same for every access; ntm_lab/nn/network.py. And a stack of LSTM layers
// without one. A machine is made of what ntm_lab/viewer/description.py wrote down.

import { dncStep } from "./dnc.js";
import { mannStep } from "./mann.js";
import { ntmStep } from "./ntm.js";
import { linear, range, rows, sigmoid, softmax, softplus, vector } from "./numbers.js";

const STEPS = { NTMAccess: ntmStep, DNCAccess: dncStep, MANNAccess: mannStep };

const BOUNDS = {
  none: (emitted) => emitted,
  tanh: (emitted) => emitted.map(Math.tanh),
  sigmoid: (emitted) => emitted.map(sigmoid),
  softplus: (emitted) => emitted.map(softplus),
  oneplus: (emitted) => emitted.map((x) => 1 + softplus(x)),
  softmax,
};

// Tensors come as {shape, base64} or {shape, at}, a place in the block of all numbers: float32, the lowest bytes of all
// numbers first; or with a scale bytes, to be divided by it. ntm_lab/viewer/numbers.py.
export function decode(node, block = null) {
  if (Array.isArray(node)) return node.map((part) => decode(part, block));
  if (node === null || typeof node !== "object") return node;
  const { shape, scale, base64, at } = node;
  if (base64 === undefined && at === undefined)
    return Object.fromEntries(Object.entries(node).map(([key, value]) => [key, decode(value, block)]));
  const count = shape.reduce((product, size) => product * size, 1);
  const bytes = base64 === undefined ? block.subarray(at) : bytesOf(base64);
  if (scale) return { shape, data: Float32Array.from(bytes.subarray(0, count), (byte) => byte / scale) };
  const words = Uint32Array.from({ length: count }, (_, i) =>
    bytes[i] | (bytes[count + i] << 8) | (bytes[2 * count + i] << 16) | (bytes[3 * count + i] << 24),
  );
  return { shape, data: new Float32Array(words.buffer) };
}

const bytesOf = (base64) => Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));

// The block of all numbers, from base64 of its zlib form.
export async function inflated(base64) {
  const stream = new Blob([bytesOf(base64)]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// What a controller emits, as the fields of the heads: group by group, head by head, field by field.
function split(layout, emitted) {
  const fields = {};
  let at = 0;
  for (const group of layout) {
    for (let head = 0; head < group.heads; head++) {
      for (const { name, size, bound, single } of group.fields) {
        const values = BOUNDS[bound](emitted.slice(at, (at += size)));
        (fields[name] ??= []).push(single ? values[0] : values);
      }
    }
  }
  return fields;
}

// A stack of layers: tanh, or with gates an LSTM's; output and next state.
function control(controller, inputs, state) {
  const hidden = [];
  const cell = [];
  let output = inputs;
  controller.layers.forEach(({ below, own, bias }, layer) => {
    const sum = linear(below, bias, output);
    if (own) linear(own, null, state.hidden[layer]).forEach((value, i) => (sum[i] += value));
    const size = controller.size;
    if (controller.gated) {
      const gate = (which, i) => sum[which * size + i]; // input, forget, candidate, output
      const next = vector(size);
      output = vector(size);
      for (let i = 0; i < size; i++) {
        next[i] = sigmoid(gate(1, i)) * state.cell[layer][i] + sigmoid(gate(0, i)) * Math.tanh(gate(2, i));
        output[i] = sigmoid(gate(3, i)) * Math.tanh(next[i]);
      }
      cell.push(next);
    } else {
      output = sum.map(Math.tanh);
    }
    hidden.push(output);
  });
  return [output, { hidden, cell }];
}

// Rows for any number of slots: its own, or the same one again and again.
const spread = (value, slots) => {
  const own = rows(value);
  return range(slots).map((slot) => own[own.length === 1 ? 0 : slot].slice());
};

const WEIGHTINGS = {
  first: (slots) => vector(slots).fill(1, 0, 1),
  uniform: (slots) => vector(slots, 1 / slots),
};

export class Machine {
  constructor(description) {
    Object.assign(this, description); // controller, output and, with a memory, access, layout, heads, initial, …
    this.hasMemory = Boolean(this.access);
    this.slots = this.access?.slots ?? 0;
    this.readHeads = this.access?.read_heads ?? 0;
    this.writeHeads = this.access?.write_heads ?? this.initial?.zeros.write_weighting[0] ?? 0;
  }

  initialState(slots = this.slots) {
    const { controller, initial } = this;
    const state = { hidden: rowsOf(controller.hidden), cell: rowsOf(controller.cell) };
    if (!this.hasMemory) return { controller: state };
    const access = { memory: spread(initial.memory, slots) };
    for (const [name, shape] of Object.entries(initial.zeros)) access[name] = zeros(shape, slots);
    if (initial.weighting)
      access.weighting = range(this.readHeads + this.writeHeads).map((head) =>
        typeof initial.weighting === "string" ? WEIGHTINGS[initial.weighting](slots) : rows(initial.weighting)[head],
      );
    return { controller: state, access, reads: rows(initial.reads) };
  }

  // Logits, signals and the state after one step. `silent` lists the heads that return, or write, nothing.
  step(given, state, silent = { read: [], write: [] }) {
    const inputs = this.encoder ? embed(this.encoder, given) : given;
    if (!this.hasMemory) {
      const [output, after] = control(this.controller, inputs, state.controller);
      return { logits: linear(this.output.weight, this.output.bias, output), signals: { hidden: [output] }, state: { controller: after } };
    }
    const [hidden, after] = control(this.controller, join(inputs, ...state.reads), state.controller);
    const heads = split(this.layout, linear(this.heads.weight, this.heads.bias, hidden));
    for (const head of silent.write) for (const name of ["erase", "add", "late"]) heads[name]?.[head].fill(0);
    const { reads, state: access, signals, ...rest } = STEPS[this.access.name](this.access, heads, state.access);
    for (const head of silent.read) reads[head].fill(0);
    const logits = linear(this.output.weight, this.output.bias, join(hidden, ...reads));
    return { logits, signals: { ...heads, ...signals, reads }, state: { controller: after, access, reads }, ...rest };
  }
}

// The sum over places of mask ∘ embedding of the word there; ntm_lab/nn/encoders.py.
function embed({ embedding, masks }, given) {
  const [size, words] = embedding.shape;
  const sum = vector(size);
  given.forEach((value, at) => {
    if (!value) return; // nearly all are 0
    const [place, word] = [Math.floor(at / words), at % words];
    for (let i = 0; i < size; i++) sum[i] += value * embedding.data[i * words + word] * (masks ? masks.data[place * size + i] : 1);
  });
  return sum;
}

const rowsOf = (value) => (value ? rows(value) : []);

function join(...parts) {
  const result = vector(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    result.set(part, at);
    at += part.length;
  }
  return result;
}

// Shapes are lists of numbers and "N", the slots.
function zeros(shape, slots) {
  const [size, ...rest] = shape.map((part) => (part === "N" ? slots : part));
  return rest.length ? range(size).map(() => zeros(rest, slots)) : vector(size);
}
