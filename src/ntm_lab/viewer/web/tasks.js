// The tasks: how the content of a sequence is drawn, and how it is laid out; ntm_lab/tasks, whose layouts these equal.
//
// A task has `axes`, the difficulty with its range in training and the largest value here; `draw(difficulty, random)`, which
// makes content; and `layout(content, difficulty)`, which makes
//
//   inputs, targets   rows of numbers, one a step
//   mask              which steps are scored
//   channels          what the inputs' rows are called
//   phases            {from, name}: what goes on from which step
//   cell(t, channel)  which of content.cells an input shows, [row, column] or null; those can be painted
//
// and where it makes sense `asks(t)`, whether a press at this step asks for something else; `knowable(t)`, whether the
// answer can be known; `optimum(t)`, the best probability of a 1; `vocabulary`, with the words `said` at every step and
// their `places` among content.cells, if inputs and answers are words.

import { range, rows, shuffled } from "./numbers.js";

const bitsOf = (count, width, random) => range(count).map(() => range(width).map(() => Number(random() < 0.5)));
const silent = (width) => new Array(width).fill(0);
const bitNames = (count) => range(count).map((bit) => `bit ${bit}`);
const axis = ([low, high], most, least = 1) => ({ low, high, most, least });

function copy({ bits, start_code }, ranges) {
  const start = Number(start_code);
  const extra = start_code ? 2 : 1;
  return {
    title: "Copy",
    words: "Hear a list of random vectors, then say it again from memory.",
    axes: { length: axis(ranges.length, Math.max(40, 6 * ranges.length[1])) },
    draw: ({ length }, random) => ({ cells: bitsOf(length, bits, random) }),
    layout({ cells }, { length }) {
      const delimiter = start + length;
      const steps = range(delimiter + 1 + length);
      const heard = (t) => t >= start && t < delimiter;
      return {
        inputs: steps.map((t) => [
          ...(heard(t) ? cells[t - start] : silent(bits)),
          ...[Number(t === delimiter), Number(t === 0)].slice(0, extra),
        ]),
        targets: steps.map((t) => (t > delimiter ? cells[t - delimiter - 1] : silent(bits))),
        mask: steps.map((t) => t > delimiter),
        channels: [...bitNames(bits), "delimiter", "start"].slice(0, bits + extra),
        phases: [
          { from: 0, name: "listens" },
          { from: delimiter, name: "delimiter" },
          { from: delimiter + 1, name: "answers" },
        ],
        cell: (t, channel) => (heard(t) && channel < bits ? [t - start, channel] : null),
      };
    },
  };
}

function repeatCopy({ bits, mean, std }, ranges) {
  return {
    title: "Repeat copy",
    words: "Hear a list and a number, say the list that many times, and then that it is over.",
    axes: {
      length: axis(ranges.length, Math.max(10, 3 * ranges.length[1])),
      repeats: axis(ranges.repeats, Math.max(10, 6 * ranges.repeats[1])),
    },
    draw: ({ length }, random) => ({ cells: bitsOf(length, bits, random) }),
    layout({ cells }, { length, repeats }) {
      const total = length * repeats;
      const steps = range(length + 1 + total + 1);
      const count = (repeats - mean) / std;
      return {
        inputs: steps.map((t) => [...(t < length ? cells[t] : silent(bits)), Number(t === length), t === length ? count : 0]),
        targets: steps.map((t) => {
          const since = t - length - 1;
          return [...(since >= 0 && since < total ? cells[since % length] : silent(bits)), Number(since === total)];
        }),
        mask: steps.map((t) => t > length),
        channels: [...bitNames(bits), "delimiter", "count"],
        phases: [
          { from: 0, name: "listens" },
          { from: length, name: `${repeats} ×` },
          ...range(repeats).map((repeat) => ({ from: length + 1 + repeat * length, name: `answer ${repeat + 1}` })),
          { from: length + 1 + total, name: "end" },
        ],
        cell: (t, channel) => (t < length && channel < bits ? [t, channel] : null),
      };
    },
  };
}

function associativeRecall({ rows: height, bits }, ranges) {
  const period = height + 1;
  return {
    title: "Associative recall",
    words: "Hear a list of items, then one of them again, and say the item that followed it.",
    axes: { items: axis(ranges.items, 5 * ranges.items[1], 2) },
    draw({ items }, random) {
      const seen = new Set();
      const cells = [];
      while (cells.length < items * height) {
        const item = bitsOf(height, bits, random);
        const name = item.flat().join("");
        if (!seen.has(name)) cells.push(...item); // items of a sequence are distinct
        seen.add(name);
      }
      return { cells, asked: Math.floor(random() * (items - 1)) };
    },
    layout({ cells, asked }, { items }) {
      const steps = range((items + 2) * period);
      const at = (t) => ({ segment: Math.floor(t / period), row: (t % period) - 1 });
      const cell = (t) => {
        const { segment, row } = at(t);
        return row < 0 || segment > items ? null : (segment < items ? segment : asked) * height + row;
      };
      const answering = (t) => at(t).segment === items + 1 && at(t).row >= 0;
      return {
        inputs: steps.map((t) => [
          ...(cell(t) === null ? silent(bits) : cells[cell(t)]),
          Number(at(t).row < 0 && at(t).segment < items),
          Number(at(t).row < 0 && at(t).segment >= items),
        ]),
        targets: steps.map((t) => (answering(t) ? cells[(asked + 1) * height + at(t).row] : silent(bits))),
        mask: steps.map(answering),
        channels: [...bitNames(bits), "item", "query"],
        phases: [
          ...range(items).map((item) => ({ from: item * period, name: `item ${item + 1}` })),
          { from: items * period, name: `query: ${asked + 1}` },
          { from: (items + 1) * period, name: `answer: ${asked + 2}` },
        ],
        cell: (t, channel) => (cell(t) !== null && channel < bits && at(t).segment < items ? [cell(t), channel] : null),
        asks: (t) => at(t).segment === items,
      };
    },
    ask: (content, { items }, asked) => ({ ...content, asked: asked % (items - 1) }),
  };
}

function ngrams(settings, ranges) {
  return {
    title: "Dynamic n-grams",
    words: "Guess the next bit of a random source while learning what that source does.",
    axes: {
      length: axis(ranges.length, 5 * ranges.length[1], 12),
      context: axis(ranges.context, ranges.context[1] + 3),
    },
    draw({ length, context }, random) {
      // Beta(½, ½) is the arcsine law, and this its inverse.
      const table = range(2 ** context).map(() => Math.sin((random() * Math.PI) / 2) ** 2);
      const bits = [];
      for (let t = 0; t < length; t++) {
        const before = bits.slice(t - context, t).reduce((sum, bit, place) => sum + bit * 2 ** place, 0);
        bits.push(Number(random() < (t < context ? 0.5 : table[before])));
      }
      return { cells: bits.map((bit) => [bit]) };
    },
    layout({ cells }, { length, context }) {
      const steps = range(length - 1);
      const counts = new Map();
      const optimum = steps.map((t) => {
        if (t < context - 1) return 0.5;
        const before = cells.slice(t - context + 1, t + 1).join("");
        const [ones, all] = counts.get(before) ?? [0, 0];
        counts.set(before, [ones + cells[t + 1][0], all + 1]);
        return (ones + 0.5) / (all + 1); // equation 10 of Graves et al. 2014
      });
      return {
        inputs: steps.map((t) => [cells[t][0]]),
        targets: steps.map((t) => [cells[t + 1][0]]),
        mask: steps.map((t) => t >= context - 1),
        channels: ["bit"],
        phases: [{ from: 0, name: "guesses every next bit" }],
        cell: (t) => [t, 0],
        optimum: (t) => optimum[t],
      };
    },
  };
}

function sort({ items: most, outputs, bits }, ranges) {
  return {
    title: "Priority sort",
    words: "Hear vectors with priorities, then say those of highest priority in falling order.",
    axes: { items: axis(ranges.items, 3 * ranges.items[1], 2) },
    draw: ({ items }, random) => ({ cells: bitsOf(items, bits, random).map((row) => [...row, 2 * random() - 1]) }),
    layout({ cells }, { items }) {
      const half = (items * outputs) / most; // Python rounds halves to even
      const answers = Math.max(1, half % 1 === 0.5 ? 2 * Math.round(half / 2) : Math.round(half));
      const order = range(items).sort((a, b) => cells[b][bits] - cells[a][bits] || a - b);
      const steps = range(items + 1 + answers);
      return {
        inputs: steps.map((t) => [...(t < items ? cells[t] : silent(bits + 1)), Number(t === items)]),
        targets: steps.map((t) => (t > items ? cells[order[t - items - 1]].slice(0, bits) : silent(bits))),
        mask: steps.map((t) => t > items),
        channels: [...bitNames(bits), "priority", "delimiter"],
        phases: [
          { from: 0, name: "listens" },
          { from: items, name: "delimiter" },
          { from: items + 1, name: "answers, highest first" },
        ],
        cell: (t, channel) => (t < items && channel <= bits ? [t, channel] : null),
      };
    },
  };
}

function oneShot({ labels, pool }, ranges) {
  const [episodes, ways, shots, pixels] = pool.shape;
  const image = (episode, way, shot) => {
    const at = ((episode * ways + way) * shots + shot) * pixels;
    return Array.from(pool.data.subarray(at, at + pixels));
  };
  return {
    title: "One-shot learning",
    noun: "labels",
    words: "Name each image; its label comes one step later, so that each class must be remembered after a single look.",
    axes: { ways: axis(ranges.ways, Math.min(labels, ways), 2), shots: axis(ranges.shots, shots) },
    draw(difficulty, random) {
      const episode = Math.floor(random() * episodes);
      const classes = shuffled(ways, random).slice(0, difficulty.ways);
      const names = shuffled(labels, random);
      const shown = classes.flatMap((way, place) =>
        shuffled(shots, random)
          .slice(0, difficulty.shots)
          .map((shot) => ({ image: image(episode, way, shot), label: names[place] })),
      );
      const order = shuffled(shown.length, random).map((place) => shown[place]);
      return { cells: order.map((each) => each.image), labels: order.map((each) => each.label) };
    },
    layout({ cells, labels: named }) {
      const steps = range(cells.length);
      return {
        inputs: steps.map((t) => [...cells[t], ...range(labels).map((label) => Number(t > 0 && named[t - 1] === label))]),
        targets: steps.map((t) => [named[t]]),
        mask: steps.map(() => true),
        channels: [...range(pixels).map((pixel) => `pixel ${pixel}`), ...range(labels).map((label) => `label ${label}`)],
        phases: [{ from: 0, name: "names each image, and is told afterwards" }],
        image: { pixels, side: Math.round(Math.sqrt(pixels)) },
        cell: (t, channel) => (channel < pixels ? [t, channel] : null),
        knowable: (t) => named.indexOf(named[t]) < t,
      };
    },
  };
}

// Stories that were drawn in Python. Content are the numbers of words, a row for each step, 0 for none.
function babi({ words, asked, stories }) {
  const spoken = (row) => [...row].filter((number) => number > 0).map((number) => words[number - 1]);
  return {
    title: "bAbI",
    words: "Hear a story, and answer the questions about it. Each word can be exchanged for another.",
    noun: "words",
    axes: { story: { ...axis([1, stories.length], stories.length), start: 1 } },
    draw: ({ story }) => ({ cells: rows(stories[story - 1].words).map((row) => [...row]) }),
    layout({ cells }, { story }) {
      const { targets, mask, task } = stories[story - 1];
      return {
        inputs: cells.map((row) => row.flatMap((number) => words.map((_, word) => Number(word === number - 1)))),
        targets,
        mask,
        channels: [],
        phases: [{ from: 0, name: `task ${task}` }],
        cell: () => null,
        vocabulary: words,
        asked,
        said: cells.map(spoken),
        places: cells.map((row) => [...row].flatMap((number, place) => (number > 0 ? [place] : []))),
      };
    },
  };
}

// Sequences that were drawn in Python, for any other task: shown and painted, though nobody here knows other answers.
function examples({ title, examples: drawn }) {
  return {
    title,
    words: "",
    axes: { example: { ...axis([1, drawn.length], drawn.length), start: 1 } },
    draw: ({ example }) => ({ cells: rows(drawn[example - 1].inputs).map((row) => [...row]) }),
    layout({ cells }, { example }) {
      const { targets, mask, words } = drawn[example - 1];
      const binary = cells.every((row) => row.every((value) => value === 0 || value === 1));
      return {
        inputs: cells,
        targets,
        mask,
        channels: range(cells[0].length).map((channel) => `channel ${channel}`),
        phases: [{ from: 0, name: words }],
        cell: (t, channel) => (binary ? [t, channel] : null),
      };
    },
  };
}

const TASKS = { Copy: copy, RepeatCopy: repeatCopy, AssociativeRecall: associativeRecall, NGrams: ngrams, Sort: sort, OneShot: oneShot, Babi: babi };

export const taskOf = ({ kind, settings, ranges }) => (TASKS[kind] ?? examples)(settings, ranges);

// What a painted cell becomes: bits and pixels turn over, a priority changes its sign.
export const turned = (value) => (value === 0 ? 1 : value === 1 ? 0 : value < 0 ? -value : value > 0.5 ? 0 : 1);
