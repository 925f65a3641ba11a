// The kinds of answers: bits, one of several symbols, real numbers; ntm_lab/tasks/answers.py.

import { argmax, range, sigmoid, softmax, softplus } from "./numbers.js";

const parts = (logits, k) => range(logits.length / k).map((which) => logits.slice(which * k, (which + 1) * k));

// Each kind has, of one step: `image`, the rows of a picture; `wanted`, the same rows of the target; `wrong`, for each answer
// whether it is; `marks`, the rows of the picture that are wrong; and `cost`, in bits.
const KINDS = {
  bits: () => ({
    noun: "bits",
    image: (logits) => Array.from(logits, sigmoid),
    wanted: (target) => target,
    wrong: (logits, target) => target.map((bit, i) => (bit > 0.5 ? !(logits[i] > 0) : !(logits[i] <= 0))),
    marks(logits, target) {
      return this.wrong(logits, target).flatMap((wrong, row) => (wrong ? [row] : []));
    },
    cost: (logits, target) =>
      target.reduce((sum, bit, i) => sum + softplus(bit > 0.5 ? -logits[i] : logits[i]), 0) / Math.LN2,
  }),
  symbols: ({ k }) => ({
    noun: "symbols",
    image: (logits) => parts(logits, k).flatMap((part) => [...softmax(part)]),
    wanted: (target) => target.flatMap((symbol) => range(k).map((row) => Number(row === symbol))),
    wrong: (logits, target) => parts(logits, k).map((part, i) => argmax(part) !== target[i]),
    marks: (logits, target) =>
      parts(logits, k).flatMap((part, i) => (argmax(part) === target[i] ? [] : [i * k + argmax(part)])),
    cost: (logits, target) =>
      parts(logits, k).reduce((sum, part, i) => sum - Math.log2(softmax(part)[target[i]]), 0),
    best: (logits) => [argmax(logits), Math.max(...softmax(logits))], // of a single symbol, with its probability
  }),
  reals: () => ({
    noun: "numbers",
    image: (logits) => [...logits],
    wanted: (target) => target,
    wrong: () => [],
    marks: () => [],
    cost: (logits, target) => target.reduce((sum, value, i) => sum + (logits[i] - value) ** 2, 0),
  }),
};

export const answerOf = (spec) => ({ kind: spec.kind, ...KINDS[spec.kind](spec) });

// How a sequence was answered: wrong answers, those asked for, the cost, and what the optimum costs where it has a cost.
export function score(answer, laid, logits) {
  const result = { wrong: 0, asked: 0, knowable: 0, wrongKnowable: 0, cost: 0, optimum: laid.optimum ? 0 : null };
  laid.mask.forEach((scored, t) => {
    if (!scored) return;
    const wrong = answer.wrong(logits[t], laid.targets[t]);
    const errors = wrong.filter(Boolean).length;
    result.wrong += errors;
    result.asked += wrong.length;
    result.cost += answer.cost(logits[t], laid.targets[t]);
    if (laid.knowable?.(t) ?? true) {
      result.knowable += wrong.length;
      result.wrongKnowable += errors;
    }
    if (laid.optimum) {
      const best = laid.optimum(t);
      result.optimum -= Math.log2(laid.targets[t][0] > 0.5 ? best : 1 - best);
    }
  });
  return result;
}
