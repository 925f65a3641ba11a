// The memory access of the Differentiable Neural Computer; ntm_lab/nn/access/dnc.py.

import {
  allocation,
  backward_weighting,
  content_weighting,
  forward_weighting,
  link,
  mix_modes,
  precedence,
  read,
  retention,
  sharpen_links,
  usage,
  write,
} from "./equations.js";
import { kept } from "./ntm.js";

const MASK_FLOOR = 0.1; // of a mask, so that no part of a key is ever cut off

const lookUp = (memory, heads, kind, head) => {
  const mask = heads[`${kind}_mask`]?.[head].map((part) => MASK_FLOOR + (1 - MASK_FLOOR) * part) ?? null;
  return content_weighting(memory, heads[`${kind}_key`][head], heads[`${kind}_strength`][head], mask);
};

// As `ntmStep`.
export function dncStep(access, heads, state) {
  const freed = retention(heads.free_gate, state.read_weighting);
  const used = usage(state.usage, state.write_weighting[0], freed);
  const free = allocation(used);

  const found = lookUp(state.memory, heads, "write", 0);
  const [allocating] = heads.allocation_gate;
  const chosen = found.map((w, i) => allocating * free[i] + (1 - allocating) * w);
  const written = chosen.map((w) => heads.write_gate[0] * w);
  const contents = access.deallocation
    ? state.memory.map((row, i) => row.map((value) => value * freed[i]))
    : state.memory;
  const memory = write(contents, [written], heads.erase, heads.add);

  const links = access.links ? link(state.link, state.precedence, written) : state.link; // with the last step's precedence
  const order = access.links ? precedence(state.precedence, written) : state.precedence;
  const stages = state.read_weighting.map((last, head) => {
    const content = lookUp(memory, heads, "read", head);
    if (!access.links) return { content, mixed: content };
    let forward = forward_weighting(links, last);
    let backward = backward_weighting(links, last);
    if (access.link_sharpness) {
      forward = sharpen_links(forward, heads.forward_sharpness[head]);
      backward = sharpen_links(backward, heads.backward_sharpness[head]);
    }
    return { content, link: links, forward, backward, mixed: mix_modes(backward, content, forward, heads.read_mode[head]) };
  });
  const read_weighting = stages.map((stage) => stage.mixed);
  const erased = kept([written], heads.erase);
  return {
    reads: read_weighting.map((w) => read(memory, w)),
    state: { memory, usage: used, read_weighting, write_weighting: [written], precedence: order, link: links },
    signals: {
      usage: used,
      allocation: [free],
      write_weighting: [written],
      memory,
      ...(access.links ? { link: links, precedence: order } : {}),
      read_weighting,
    },
    kept: access.deallocation ? erased.map((share, i) => share * freed[i]) : erased,
    stages: { read: stages, write: [{ usage: used, allocation: free, content: found, chosen, gated: written }] },
  };
}
