// The time line: what is heard, where it is written, where it is read, and what is said, step by step from left to right.

import { colour, drawText, fit, rem, signed, tint } from "./colours.js";
import { clamp, range } from "./numbers.js";

const GAP = 0.9; // rem between lanes, in which their names stand

export class Lanes {
  // `on` has seek(step), hover(step or null), paint(step, channel) and asks for nothing else.
  constructor(base, overlay, on) {
    Object.assign(this, { base, overlay, on, lanes: [], drag: null });
    overlay.addEventListener("pointerdown", (event) => this.press(event));
    overlay.addEventListener("pointermove", (event) => this.move(event));
    for (const end of ["pointerup", "pointercancel"]) overlay.addEventListener(end, () => (this.drag = null));
    overlay.addEventListener("pointerleave", () => this.on.hover(null));
  }

  // Draw everything that stays while time goes by.
  draw(scene) {
    this.scene = scene;
    const { context, width, height } = fit(this.base);
    const gutter = width < 600 ? 3.2 * rem() : 5 * rem();
    this.left = gutter;
    this.steps = scene.laid.inputs.length;
    this.column = (width - gutter - 4) / this.steps;
    this.lanes = arrange(this.kinds(), height, this.column);
    for (const lane of this.lanes) {
      this.name(context, lane);
      DRAW[lane.kind].call(this, context, lane);
    }
    this.ruler(context, height);
  }

  // Which lanes there are, and how many rows each has.
  kinds() {
    const { laid, recording, slots, answer } = this.scene;
    const lanes = [];
    if (laid.image) lanes.push({ kind: "images", title: "image", rows: 1, least: clamp(this.column / rem(), 2, 4) });
    const places = Math.max(...(laid.places ?? []).map(({ length }) => length));
    if (laid.vocabulary) lanes.push({ kind: "words", title: "input", rows: 1, least: !sizeIn(this.column) ? 1.2 : places > 1 ? 14 : 5 });
    else lanes.push({ kind: "input", title: laid.image ? "told" : "input", rows: this.inputChannels().length });
    if (recording.machine.hasMemory) {
      lanes.push({ kind: "weighting", which: "write", title: "write", rows: slots.length, heat: true });
      lanes.push({ kind: "weighting", which: "read", title: "read", rows: slots.length, heat: true });
    } else lanes.push({ kind: "hidden", title: "state", rows: recording.steps[0].signals.hidden[0].length, heat: true });
    if (laid.optimum) lanes.push({ kind: "curve", title: "P(1)", rows: 1, least: 6 });
    else if (laid.vocabulary) lanes.push({ kind: "replies", title: "output", rows: 1, least: 5 });
    else {
      lanes.push({ kind: "output", title: "output", rows: answer.image(recording.steps[0].logits).length });
      if (answer.kind !== "symbols") lanes.push({ kind: "target", title: "target", rows: answer.wanted(laid.targets[0]).length });
    }
    return lanes;
  }

  inputChannels() {
    const { laid } = this.scene;
    return range(laid.channels.length).slice(laid.image?.pixels ?? 0); // of words none
  }

  x(step) {
    return this.left + step * this.column;
  }

  // A cell, with a hair of space round it where there is room.
  cell(context, step, lane, row, style) {
    const air = this.column > 6 && lane.row > 5 ? 1 : 0;
    context.fillStyle = style;
    context.fillRect(this.x(step), lane.top + row * lane.row, Math.max(this.column - air, 0.5), Math.max(lane.row - air, 0.5));
  }

  name(context, lane) {
    const marked = lane.kind === "weighting" ? lane.which : "ink";
    drawText(context, lane.title, this.left - 8, lane.top + Math.min(lane.height / 2, 1.4 * rem()), { align: "right", name: marked, weight: 600, size: 0.82 });
  }

  ruler(context, height) {
    const every = [1, 2, 5, 10, 20, 50, 100, 200, 500].find((count) => count * this.column > 2.4 * rem()) ?? 1000;
    const y = height - 0.5 * rem();
    for (let step = every; step <= this.steps; step += every)
      drawText(context, String(step), this.x(step - 0.5), y, { align: "center", size: 0.68 });
    this.phases(context).forEach(({ from, name }) => drawText(context, name, this.x(from) + 2, 0.45 * rem(), { size: 0.72 }));
    this.scene.laid.phases.forEach(({ from }) => {
      const x = this.x(from);
      if (from) {
        context.strokeStyle = colour("muted", 0.45);
        context.setLineDash([2, 3]);
        context.beginPath();
        context.moveTo(x - 0.5, GAP * rem());
        context.lineTo(x - 0.5, height - rem());
        context.stroke();
        context.setLineDash([]);
      }
    });
  }

  // The phases whose names fit side by side: of two that do not, the longer one.
  phases(context) {
    const { phases } = this.scene.laid;
    const kept = [];
    context.font = `${0.72 * rem()}px sans-serif`;
    phases.forEach(({ from, name }, index) => {
      const lasts = (phases[index + 1]?.from ?? this.steps) - from;
      const last = kept.at(-1);
      if (last && this.x(from) < this.x(last.from) + context.measureText(last.name).width + 12) {
        if (lasts <= last.lasts) return;
        kept.pop();
      }
      kept.push({ from, name, lasts });
    });
    return kept;
  }

  // What changes from step to step: the present column, the paths of what is read, the cell that keys would paint.
  mark({ step, paths, cursor }) {
    const { context, height } = fit(this.overlay);
    const bottom = height - rem();
    context.fillStyle = colour("cursor", 0.1);
    context.strokeStyle = colour("cursor", 0.9);
    context.lineWidth = 1.5;
    const width = Math.max(this.column, 3);
    const x = this.x(step) + this.column / 2 - width / 2;
    context.fillRect(x, GAP * rem(), width, bottom - GAP * rem());
    context.strokeRect(x - 0.5, GAP * rem(), width, bottom - GAP * rem());
    for (const path of paths) this.path(context, path);
    if (cursor !== null) {
      const lane = this.lanes.find(({ kind }) => kind === "input");
      const row = this.inputChannels().indexOf(cursor);
      context.strokeStyle = colour("wrong");
      context.lineWidth = 2.5;
      if (row >= 0) context.strokeRect(this.x(step) - 1, lane.top + row * lane.row - 1, this.column + 1, lane.row + 1);
    }
  }

  // From the step that wrote a slot, down to the step that reads it, and on to the answer.
  path(context, { from, to, slot, written, share }) {
    const find = (wanted) => this.lanes.find((lane) => lane.kind === wanted || lane.which === wanted);
    const input = find("images") ?? find("input") ?? find("words");
    const output = find("output") ?? find("curve") ?? find("replies");
    const [write, read] = [find("write"), find("read")];
    const rows = [written, slot].map((place) => this.scene.slots.indexOf(place));
    if (rows.includes(-1) || !write || !read) return;
    const [x0, x1] = [this.x(from + 0.5), this.x(to + 0.5)];
    const [y0, y1] = [write, read].map((lane, end) => lane.top + (rows[end] + 0.5) * lane.row);
    const opacity = 0.25 + 0.75 * share;
    const draw = (name, trace, width = 2.5) => {
      context.strokeStyle = colour(name, opacity);
      context.lineWidth = width;
      context.beginPath();
      trace();
      context.stroke();
    };
    draw("write", () => (context.moveTo(x0, input.top + input.height), context.lineTo(x0, y0)));
    draw("ink", () => {
      const bend = Math.max(30, (y1 - y0) * 0.55);
      context.moveTo(x0, y0);
      context.bezierCurveTo(x0 + (x1 - x0) * 0.1, y0 + bend, x1 - (x1 - x0) * 0.1, y1 - bend, x1, y1);
    });
    draw("read", () => (context.moveTo(x1, y1), context.lineTo(x1, output.top)));
    for (const [name, x, y] of [["write", x0, y0], ["read", x1, y1]]) {
      context.fillStyle = colour(name, opacity);
      context.strokeStyle = colour("ink", opacity);
      context.lineWidth = 1.5;
      context.beginPath();
      context.arc(x, y, clamp(this.column * 0.35, 4, 8), 0, 2 * Math.PI);
      context.fill();
      context.stroke();
    }
  }

  // Pointers

  place(event) {
    const box = this.overlay.getBoundingClientRect();
    const step = clamp(Math.floor((event.clientX - box.left - this.left) / this.column), 0, this.steps - 1);
    const y = event.clientY - box.top;
    const lane = this.lanes.find(({ top, height }) => y >= top && y < top + height);
    const row = lane ? clamp(Math.floor((y - lane.top) / lane.row), 0, lane.rows - 1) : 0;
    return { step, lane, row };
  }

  press(event) {
    const { step, lane, row } = this.place(event);
    const channel = lane?.kind === "input" ? this.inputChannels()[row] : null;
    if (channel !== null && this.on.paint(step, channel)) this.drag = "paint";
    else {
      this.drag = "seek";
      this.on.seek(step);
    }
    this.last = `${step} ${channel}`;
    if (event.pointerType === "mouse") this.overlay.setPointerCapture(event.pointerId);
  }

  move(event) {
    const { step, lane, row } = this.place(event);
    const paintable = lane?.kind === "input";
    this.overlay.style.cursor = paintable && this.scene.laid.cell(step, this.inputChannels()[row]) ? "cell" : "col-resize";
    if (this.drag === "seek") this.on.seek(step);
    else if (this.drag === "paint") {
      const channel = paintable ? this.inputChannels()[row] : null;
      if (channel !== null && `${step} ${channel}` !== this.last) this.on.paint(step, channel);
      this.last = `${step} ${channel}`;
    } else this.on.hover(lane && ["output", "read", "curve", "replies"].includes(lane.which ?? lane.kind) ? step : null);
  }
}

// The heights of lanes: rows of bits as square as there is room for, and what is left for the weightings.
function arrange(lanes, height, column) {
  const gap = GAP * rem();
  const room = height - gap * lanes.length - 1.2 * rem();
  const plain = lanes.filter(({ heat }) => !heat);
  const wanted = plain.map(({ rows, least = 0 }) => Math.max(rows * clamp(column, 0.5 * rem(), 0.95 * rem()), least * rem()));
  const most = lanes.length > plain.length ? 0.5 * room : room;
  const shrink = Math.min(1, most / wanted.reduce((a, b) => a + b, 0));
  const heats = lanes.length - plain.length;
  const rest = room - wanted.reduce((a, b) => a + b, 0) * shrink;
  let top = gap;
  return lanes.map((lane) => {
    const tall = lane.heat ? Math.min(rest / heats, lane.rows * 1.3 * rem()) : wanted[plain.indexOf(lane)] * shrink;
    const placed = { ...lane, top, height: tall, row: tall / lane.rows };
    top += tall + gap;
    return placed;
  });
}

const DRAW = {
  input(context, lane) {
    const { laid } = this.scene;
    const channels = this.inputChannels();
    laid.inputs.forEach((input, step) =>
      channels.forEach((channel, row) => {
        const value = input[channel];
        const style = value < 0 || (value > 0 && value !== 1 && !laid.image) ? signed(value, 1.5) : tint("ink", value);
        this.cell(context, step, lane, row, style);
      }),
    );
    if (lane.row > 0.62 * rem())
      channels.forEach((channel, row) => {
        const name = laid.channels[channel];
        if (!/^(bit|channel|label)\b/.test(name) || name === "bit")
          drawText(context, name, this.left - 8, lane.top + (row + 0.5) * lane.row, { align: "right", size: 0.64 });
      });
  },

  words(context, lane) {
    const { laid } = this.scene;
    laid.said.forEach((said, step) => {
      const ends = /^[.?]$/.test(said.at(-1)) ? 0.3 : 0; // of a sentence, where there is no room for words
      this.cell(context, step, lane, 0, laid.mask[step] ? tint("plus", 0.2) : tint("ink", sizeIn(this.column) ? 0 : ends));
      upright(context, said.join(" "), this.x(step), lane, this.column, "ink");
    });
  },

  replies(context, lane) {
    const { recording, laid, answer, known } = this.scene;
    recording.steps.forEach(({ logits }, step) => {
      if (!laid.mask[step]) return;
      const [word] = answer.best(logits);
      const wrong = known && word !== laid.targets[step][0];
      this.cell(context, step, lane, 0, wrong ? colour("wrong", 0.25) : tint("plus", known ? 0.25 : 0));
      const text = `${wrong ? "✗ " : ""}${laid.vocabulary[word]}`;
      upright(context, text, this.x(step), lane, Math.max(this.column, 0.8 * rem()), wrong ? "wrong" : "ink", 700);
    });
  },

  images(context, lane) {
    const { laid } = this.scene;
    const { pixels, side } = laid.image;
    const size = Math.min(lane.height, Math.max(this.column - 3, 2));
    laid.inputs.forEach((input, step) => {
      for (let pixel = 0; pixel < pixels; pixel++) {
        const [x, y] = [pixel % side, Math.floor(pixel / side)];
        context.fillStyle = tint("ink", input[pixel]);
        const dot = size / side;
        context.fillRect(this.x(step) + x * dot, lane.top + y * dot, dot + 0.3, dot + 0.3);
      }
    });
  },

  weighting(context, lane) {
    const { recording, slots, head } = this.scene;
    recording.steps.forEach(({ signals }, step) => {
      const heads = signals[`${lane.which}_weighting`];
      const shown = head.kind === lane.which ? [heads[head.index]] : heads;
      slots.forEach((slot, row) => {
        const weight = shown.reduce((sum, weighting) => sum + weighting[slot], 0);
        this.cell(context, step, lane, row, tint(lane.which, weight, 0.7));
      });
    });
  },

  hidden(context, lane) {
    this.scene.recording.steps.forEach(({ signals }, step) =>
      signals.hidden[0].forEach((value, row) => this.cell(context, step, lane, row, signed(value))),
    );
  },

  output(context, lane) {
    const { recording, laid, answer, known } = this.scene;
    recording.steps.forEach(({ logits }, step) => {
      const image = answer.image(logits);
      const wrong = laid.mask[step] && known ? answer.marks(logits, laid.targets[step]) : [];
      const blamed = laid.knowable?.(step) ?? true;
      image.forEach((value, row) => {
        if (!laid.mask[step]) return;
        const plain = answer.kind === "reals" ? signed(value) : tint("ink", value);
        this.cell(context, step, lane, row, wrong.includes(row) && blamed ? tint("wrong", 0.35 + 0.65 * value) : plain);
        if (wrong.includes(row)) cross(context, this.x(step), lane.top + row * lane.row, this.column - 1, lane.row - 1, blamed);
      });
      if (answer.kind === "symbols" && laid.mask[step])
        answer.wanted(laid.targets[step]).forEach((wanted, row) => {
          if (!wanted) return;
          context.strokeStyle = colour("plus");
          context.lineWidth = 2;
          context.strokeRect(this.x(step) + 0.5, lane.top + row * lane.row + 0.5, Math.max(this.column - 2.5, 1), lane.row - 2.5);
        });
    });
  },

  target(context, lane) {
    const { laid, answer } = this.scene;
    laid.targets.forEach((target, step) => {
      if (!laid.mask[step]) return;
      answer.wanted(target).forEach((value, row) =>
        this.cell(context, step, lane, row, answer.kind === "reals" ? signed(value) : tint("ink", value)),
      );
    });
  },

  // A guess at every step: the model's probability of a 1, the best one, and what came.
  curve(context, lane) {
    const { recording, laid, answer } = this.scene;
    const y = (value) => lane.top + 6 + (1 - value) * (lane.height - 12);
    context.strokeStyle = colour("line");
    for (const value of [0, 0.5, 1]) {
      context.beginPath();
      context.moveTo(this.left, y(value));
      context.lineTo(this.x(this.steps), y(value));
      context.stroke();
    }
    const trace = (name, width, value) => {
      context.strokeStyle = colour(name);
      context.lineWidth = width;
      context.beginPath();
      laid.inputs.forEach((_, step) => context.lineTo(this.x(step + 0.5), y(value(step))));
      context.stroke();
    };
    trace("plus", 1.5, laid.optimum);
    trace("ink", 2, (step) => answer.image(recording.steps[step].logits)[0]);
    laid.targets.forEach(([bit], step) => {
      context.fillStyle = colour("muted", 0.8);
      context.fillRect(this.x(step + 0.5) - 1.5, y(bit) + (bit ? -5 : 2), 3, 3);
    });
    drawText(context, "best", this.x(this.steps) - 4, lane.top + lane.height + 6, { name: "plus", align: "right", size: 0.7 });
  },
};

// The size of upright text in columns of this width, in rem; 0 where it could not be read.
function sizeIn(column) {
  const size = Math.min(0.75, (0.85 * column) / rem());
  return size < 0.42 ? 0 : size;
}

// Text that is read from below, as large as the lane allows; left out where columns are too narrow.
function upright(context, text, x, lane, column, name, weight = 400) {
  if (!sizeIn(column)) return;
  context.save();
  context.font = `${weight} ${rem()}px ${getComputedStyle(document.body).fontFamily}`;
  const size = Math.min(sizeIn(column), Math.max(0.5, (lane.height - 6) / context.measureText(text).width));
  context.beginPath();
  context.rect(x - 0.2 * rem(), lane.top, column + 0.4 * rem(), lane.height);
  context.clip();
  context.translate(x + column / 2, lane.top + lane.height - 3);
  context.rotate(-Math.PI / 2);
  drawText(context, text, 0, 0, { name, size, weight });
  context.restore();
}

function cross(context, x, y, width, height, blamed) {
  if (width < 5 || height < 5) return;
  const [cx, cy, r] = [x + width / 2, y + height / 2, Math.min(width, height) * 0.28];
  context.strokeStyle = colour(blamed ? "paper" : "muted");
  context.lineWidth = 1.6;
  context.beginPath();
  context.moveTo(cx - r, cy - r);
  context.lineTo(cx + r, cy + r);
  context.moveTo(cx + r, cy - r);
  context.lineTo(cx - r, cy + r);
  context.stroke();
}
