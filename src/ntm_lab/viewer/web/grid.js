// The memory after a step: a row for each slot that is in use, with the write heads on its left and the read heads on its right.

import { colour, drawText, fit, rem, signed } from "./colours.js";
import { clamp } from "./numbers.js";

export class Grid {
  // `press(slot, column)` is called for a cell.
  constructor(canvas, press) {
    this.canvas = canvas;
    canvas.addEventListener("pointerdown", (event) => {
      const box = canvas.getBoundingClientRect();
      const column = Math.floor((event.clientX - box.left - this.left) / this.width);
      const row = Math.floor((event.clientY - box.top - this.top) / this.height);
      if (row >= 0 && row < this.slots.length && column >= 0 && column < this.columns) press(this.slots[row], column);
    });
  }

  draw({ memory, slots, read, write, scale, strips, chosen, edited }) {
    const { context, width, height } = fit(this.canvas);
    const pointer = 2.1 * rem();
    this.slots = slots;
    this.columns = memory[0].length;
    this.left = pointer + 1.7 * rem();
    this.width = Math.min((width - this.left - pointer) / this.columns, 1.5 * rem());
    const strip = 0.95 * rem();
    this.top = 0.4 * rem() + strips.length * (strip + 3) + (strips.length ? 0.5 * rem() : 0);
    this.height = Math.min((height - this.top - 2) / slots.length, 1.5 * rem());
    const air = this.height > 6 && this.width > 6 ? 1 : 0;

    strips.forEach(({ name, values, mark }, place) => {
      const y = 0.4 * rem() + place * (strip + 3);
      drawText(context, name, this.left - 6, y + strip / 2, { align: "right", name: mark, size: 0.72, weight: 600 });
      values.forEach((value, column) => {
        context.fillStyle = signed(value);
        context.fillRect(this.left + column * this.width, y, this.width - air, strip);
      });
    });

    const every = [1, 2, 5, 10, 20, 50, 100].find((count) => count * this.height > 0.85 * rem()) ?? 200;
    slots.forEach((slot, row) => {
      const y = this.top + row * this.height;
      memory[slot].forEach((value, column) => {
        context.fillStyle = signed(value, scale);
        context.fillRect(this.left + column * this.width, y, this.width - air, Math.max(this.height - air, 0.5));
      });
      if (row % every === 0)
        drawText(context, String(slot), this.left - 5, y + this.height / 2, { align: "right", size: Math.min(0.7, (0.9 * every * this.height) / rem()) });
      this.arrow(context, "write", y, write[slot], this.left - 1.55 * rem(), 1);
      this.arrow(context, "read", y, read[slot], this.left + this.columns * this.width + 4, -1);
    });
    for (const { slot, column } of edited) this.ring(context, slot, column, "wrong", 1.5);
    if (chosen) this.ring(context, chosen.slot, chosen.column, "ink", 2.5);
  }

  // A triangle that points at the slot, as large as the weight is.
  arrow(context, name, y, weight, x, direction) {
    if (weight < 0.02) return;
    const size = clamp(this.height * 0.9, 0.6 * rem(), 1.4 * rem());
    const length = size * (0.35 + 0.75 * Math.min(weight, 1));
    const middle = y + this.height / 2;
    context.fillStyle = colour(name, 0.25 + 0.75 * Math.min(weight, 1));
    context.beginPath();
    context.moveTo(x, middle);
    context.lineTo(x - direction * length, middle - size / 2);
    context.lineTo(x - direction * length, middle + size / 2);
    context.fill();
  }

  ring(context, slot, column, name, width) {
    const row = this.slots.indexOf(slot);
    if (row < 0) return;
    context.strokeStyle = colour(name);
    context.lineWidth = width;
    context.strokeRect(this.left + column * this.width, this.top + row * this.height, this.width - 1, this.height - 1);
  }
}
