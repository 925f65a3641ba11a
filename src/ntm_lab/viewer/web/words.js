// What is said beside each stage of addressing, for someone who has not read the papers, and the sentence about a step.

const percent = (share) => `${Math.round(100 * share)} %`;
export const round = (value, digits = 2) => (Math.abs(value) >= 1000 ? value.toExponential(1) : value.toFixed(digits)).replace("-", "−");

const CONTENT = "The head compares its key with every slot, as a search compares a word with every page. The strength β decides whether only the best match counts or all that are similar.";

// Of each access and kind of head, the stages in order: the name of its weighting among `stages`, a title, numbers from the
// heads' parameters, and two sentences.
const STAGES = {
  NTMAccess: {
    read: [
      {
        name: "content",
        title: "Content",
        numbers: (of) => [["β", of("strength")]],
        text: CONTENT,
      },
      {
        name: "gated",
        title: "Gate",
        numbers: (of) => [["g", of("gate")]],
        text: "The gate chooses between what was just found (g = 1) and the place where the head already was (g = 0). A head that walks along the memory keeps its gate shut.",
      },
      {
        name: "shifted",
        title: "Shift",
        numbers: (of) => {
          const shift = of("shift");
          const reach = (shift.length - 1) / 2;
          return Array.from(shift, (part, i) => [i === reach ? "stay" : i < reach ? `−${reach - i}` : `+${i - reach}`, part]);
        },
        text: "The head may move on to a neighbouring slot, round the ring if need be. A step of +1 at every vector is how a list is stored, and how it is said again.",
      },
      {
        name: "sharpened",
        title: "Sharpen",
        numbers: (of) => [["γ", of("sharpness")]],
        text: "Every move blurs the focus a little, and blur adds up. Raising each weight to the power γ makes the head look at one slot again.",
      },
    ],
  },
  DNCAccess: {
    write: [
      {
        name: "usage",
        title: "Usage",
        numbers: (of, heads) => heads.free_gate.map((gate, head) => [`free ${head + 1}`, gate]),
        text: "Each slot counts how much it is in use: writing raises that, and a read head that is done with a slot may free it. What is in use is not written over by accident.",
      },
      {
        name: "allocation",
        title: "Allocation",
        numbers: () => [],
        text: "The slot that is used least is offered for writing. If all slots are taken, nothing is offered.",
      },
      { name: "content", title: "Content", numbers: (of) => [["β", of("write_strength")]], text: CONTENT },
      {
        name: "chosen",
        title: "New or old",
        numbers: (of) => [["allocate", of("allocation_gate")]],
        text: "The allocation gate chooses between a free slot (1) and the slot that was found by content (0). So it can store something new or bring something up to date.",
      },
      {
        name: "gated",
        title: "Write gate",
        numbers: (of) => [["write", of("write_gate")]],
        text: "The write gate decides whether anything is written at all. Shut, it protects the memory while the network answers.",
      },
    ],
    read: [
      { name: "content", title: "Content", numbers: (of) => [["β", of("read_strength")]], text: CONTENT },
      {
        name: "link",
        title: "Links",
        matrix: true,
        numbers: () => [],
        text: "Row by row, which slot was written just after which. Whatever the order in which slots were free, a list can be followed along these links.",
      },
      {
        name: "backward",
        title: "Backward",
        numbers: () => [],
        text: "Against the links: what was written just before the slot that was read last. So a list can be said from its end.",
      },
      {
        name: "forward",
        title: "Forward",
        numbers: () => [],
        text: "Along the links: what was written just after the slot that was read last. Going forward again and again says a list in its order.",
      },
      {
        name: "mixed",
        title: "Mode",
        numbers: (of, heads) => (heads.read_mode ? ["back", "content", "forward"].map((name, i) => [name, of("read_mode")[i]]) : []),
        text: "The mode mixes the three: go back, look up, or go on. Where it is all on one of them, the head does only that.",
      },
    ],
  },
  MANNAccess: {
    write: [
      {
        name: "usage",
        title: "Usage",
        numbers: () => [],
        text: "Each slot counts how lately it was read or written, and the count fades with time. What is rarely of use is forgotten first.",
      },
      {
        name: "least",
        title: "Least used",
        numbers: () => [],
        text: "The least used slot is emptied for something new. No rule is learned for that; it is built in.",
      },
      {
        name: "gated",
        title: "Gate",
        numbers: (of) => [["g", of("gate")]],
        text: "The gate chooses between the empty slot (g = 0) and the slot where the head last was (g = 1). A new image goes into an empty slot; more about an old one joins it.",
      },
    ],
  },
};
STAGES.NTMAccess.write = STAGES.NTMAccess.read;
// The MANN writes by usage and reads by content: few stages, so that both are shown together.
STAGES.MANNAccess.write.push({
  name: "content",
  kind: "read",
  title: "Content, to read",
  numbers: (of, heads) => [["β", heads.strength ? of("strength") : 1]],
  text: CONTENT,
});
STAGES.MANNAccess.read = STAGES.MANNAccess.write.map((stage) => ({ kind: "write", ...stage }));

// Those of a head, each with what `stages` of a step has of it.
export const stagesOf = (access, { kind, index }, stages) =>
  STAGES[access][kind]
    .map((stage) => ({ kind, ...stage }))
    .map((stage) => ({ ...stage, weighting: stages[stage.kind][index]?.[stage.name] }))
    .filter(({ weighting }) => weighting);

// The parameters of one head: of the NTM and the MANN both kinds of heads share fields.
export function parametersOf(machine, kind, index, signals) {
  const place = machine.access.name === "NTMAccess" && kind === "write" ? machine.readHeads + index : index;
  return (field) => signals[field]?.[place];
}

// What happens at a step, in a sentence or two.
export function narrate({ machine, laid, answer, step, detail, found, wrong }) {
  const phase = laid.phases.filter(({ from }) => from <= step).at(-1)?.name ?? "";
  const parts = [`Step ${step + 1} of ${laid.inputs.length}${phase ? `: ${phase}` : ""}.`];
  if (machine.hasMemory) {
    const peak = (weighting) => weighting.reduce((best, w, slot) => (w > best[0] ? [w, slot] : best), [0, 0]);
    const sharpest = (weightings) => weightings.map(peak).reduce((best, next) => (next[0] > best[0] ? next : best));
    const [written, place] = sharpest(detail.signals.write_weighting);
    if (written > 0.2) parts.push(`Writes to slot ${place}.`);
    const [read, where] = sharpest(detail.signals.read_weighting);
    const source = found.find(({ slot }) => slot === where);
    if (read > 0.2) parts.push(`Reads slot ${where}${source ? `, written at step ${source.step + 1}` : ""}.`);
    else parts.push(`Reads many slots at once, slot ${where} most (${percent(read)}).`);
  }
  if (laid.vocabulary && laid.mask[step]) {
    const [word, share] = answer.best(detail.logits);
    parts.push(`Says “${laid.vocabulary[word]}” (${percent(share)}).`);
    if (wrong) parts.push(`Right is “${laid.vocabulary[laid.targets[step][0]]}”.`);
  }
  if (laid.mask[step] && wrong !== null) parts.push(wrong ? `${wrong} wrong.` : "Right.");
  return parts.join(" ");
}
