// One place for colours: those of the style sheet, as numbers to mix. Writing and reading are Okabe and Ito's orange and blue,
// which the colour-blind tell apart; what is wrong is their vermilion, and is crossed out as well.

import { clamp } from "./numbers.js";

let known = {};

// Read the style sheet's colours again, after the theme has changed.
export function readColours() {
  const style = getComputedStyle(document.documentElement);
  const names = ["paper", "panel", "cell", "ink", "muted", "line", "write", "read", "wrong", "plus", "minus", "cursor"];
  known = Object.fromEntries(names.map((name) => [name, parse(style.getPropertyValue(`--${name}`).trim())]));
}

const parse = (text) => [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16)); // #rrggbb

export const colour = (name, opacity = 1) => `rgba(${known[name].join(",")},${opacity})`;

// From an empty cell to a colour, by a number from 0 to 1; small ones are lifted, so that a weight of 0.05 can be seen.
export const tint = (name, value, lift = 1) => blend(known.cell, known[name], clamp(value, 0, 1) ** lift);

// A number of either sign: green above 0, purple below.
export const signed = (value, scale = 1) => tint(value < 0 ? "minus" : "plus", Math.abs(value) / scale, 0.8);

const blend = (from, to, share) => `rgb(${from.map((part, i) => Math.round(part + (to[i] - part) * share)).join(",")})`;

// Fit a canvas to its place, sharp on any screen; returns what to draw with and its size in CSS pixels.
export function fit(canvas, height = canvas.clientHeight) {
  const width = canvas.clientWidth;
  const ratio = window.devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}

export const rem = () => parseFloat(getComputedStyle(document.documentElement).fontSize);

export function drawText(context, text, x, y, { size = 0.75, name = "muted", align = "left", weight = 400 } = {}) {
  context.font = `${weight} ${size * rem()}px ${getComputedStyle(document.body).fontFamily}`;
  context.fillStyle = colour(name);
  context.textAlign = align;
  context.textBaseline = "middle";
  context.fillText(text, x, y);
}
