// How a head found its place: a row of bars for each stage of addressing, over the slots in use.

import { colour, drawText, fit, rem, tint } from "./colours.js";
import { argmax } from "./numbers.js";
import { parametersOf, round, stagesOf } from "./words.js";

export class Stages {
  constructor(list) {
    this.list = list;
    this.shown = "";
  }

  draw({ machine, head, detail, slots, last }) {
    const wanted = stagesOf(machine.access.name, head, detail.stages);
    const shown = `${machine.access.name} ${head.kind} ${wanted.length}`;
    if (shown !== this.shown) this.build(wanted);
    this.shown = shown;
    wanted.forEach((stage, place) => {
      const of = parametersOf(machine, stage.kind, head.index, detail.signals);
      const item = this.list.children[place];
      const numbers = stage.numbers(of, detail.signals);
      item.querySelector(".numbers").textContent = numbers.map(([name, value]) => `${name} ${round(value)}`).join("  ");
      const canvas = item.querySelector("canvas");
      if (stage.matrix) return matrix(canvas, stage.weighting, slots);
      const before = wanted[place - 1];
      const ghost = before && before.kind === stage.kind && !before.matrix ? before.weighting : null;
      return bars(canvas, stage.weighting, stage.name === "gated" && last ? last : ghost, slots, stage.kind);
    });
  }

  build(wanted) {
    this.list.replaceChildren(
      ...wanted.map((stage, place) => {
        const item = document.createElement("li");
        item.innerHTML = `<header><h3>${place + 1} ${stage.title}</h3><span class="numbers"></span></header><canvas role="img" aria-label="${stage.title}: a bar for each slot"></canvas><p>${stage.text}</p>`;
        return item;
      }),
    );
  }
}

// The weighting after a stage, in front of that before it.
function bars(canvas, weighting, ghost, slots, name) {
  const { context, width, height } = fit(canvas);
  const column = width / slots.length;
  const floor = height - 1;
  const room = height - 0.95 * rem();
  const scale = Math.max(1, ...weighting); // the usage of a MANN is no share
  const bar = (value) => Math.min(Math.max(value / scale, 0), 1) * room;
  context.fillStyle = colour("cell");
  context.fillRect(0, floor - room, width, room);
  slots.forEach((slot, place) => {
    if (ghost && ghost[slot] > 0.005) {
      context.fillStyle = colour("muted", 0.35);
      context.fillRect(place * column, floor - bar(ghost[slot]), Math.max(column - 1, 0.5), bar(ghost[slot]));
    }
    context.fillStyle = tint(name, 0.55 + 0.45 * Math.min(1, weighting[slot]));
    const inset = ghost ? column * 0.18 : 0;
    context.fillRect(place * column + inset, floor - bar(weighting[slot]), Math.max(column - 1 - 2 * inset, 0.5), bar(weighting[slot]));
  });
  context.fillStyle = colour("line");
  context.fillRect(0, floor, width, 1);
  const best = argmax(weighting);
  if (weighting[best] < 0.02) return;
  const place = slots.indexOf(best);
  const x = Math.min(Math.max(((place < 0 ? slots.length : place) + 0.5) * column, 2.6 * rem()), width - 2.6 * rem());
  drawText(context, `slot ${best}: ${round(weighting[best])}${place < 0 ? " ⇢" : ""}`, x, 0.42 * rem(), { align: "center", size: 0.68 });
}

// From which slot, a column, to which, a row.
function matrix(canvas, links, slots) {
  const { context, width, height } = fit(canvas);
  const [column, row] = [width / slots.length, height / slots.length];
  slots.forEach((to, y) =>
    slots.forEach((from, x) => {
      context.fillStyle = tint("ink", links[to][from], 0.7);
      context.fillRect(x * column, y * row, Math.max(column - (column > 5 ? 1 : 0), 0.5), Math.max(row - (row > 4 ? 1 : 0), 0.5));
    }),
  );
}
