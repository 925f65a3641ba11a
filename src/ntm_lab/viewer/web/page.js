// The page: what is shown, what can be done with it, and the address that remembers both.

import { answerOf, score } from "./answers.js";
import { colour, fit, readColours, tint } from "./colours.js";
import { Grid } from "./grid.js";
import { Lanes } from "./lanes.js";
import { decode, inflated, Machine } from "./machine.js";
import { clamp, range, seeded, shuffled } from "./numbers.js";
import { ablationsOf, NO_CHANGE, Recording, slotsInUse, sources } from "./recording.js";
import { Stages } from "./stages.js";
import { Story } from "./story.js";
import { taskOf, turned } from "./tasks.js";
import { narrate, round } from "./words.js";

const find = (selector) => document.querySelector(selector);
const shown = decode(JSON.parse(find("#shown").textContent), await inflated(find("#numbers").textContent));
const task = taskOf(shown.task);
const answer = answerOf(shown.task.answer);
// A model has one description, or several of its training, the last of which is the trained one.
const models = shown.models.map((model) => ({ ...model, machines: model.moments.map((moment) => new Machine(moment.model)) }));
const OFFERED = ablationsOf(models[0].machines[0]);
const SPEEDS = [1, 2, 4, 8, 16, 32, 64]; // steps a second

// Everything that a link remembers. `painted` are the cells turned over, or given another word, since the content was drawn,
// `edits` changes of the memory; `from` is the step at which something is broken, null for the first answer.
const START = {
  ...Object.fromEntries(Object.entries(task.axes).map(([name, axis]) => [name, shown.difficulty[name] ?? axis.start ?? axis.high])),
  seed: shown.seed,
  slots: 0, // as many as the sequence needs
  step: -1, // the first answer
  head: "read0",
  painted: "",
  asked: -1,
  broken: "intact",
  from: -1,
  silent: "",
  edits: "",
  all: 0, // slots, or only those that matter
  compare: Number(models.length > 1),
  moment: -1,
};
let state = restored();
let hovered = null;
let chosen = null; // the cell of the memory that is being changed
let cursor = null; // the input channel that keys would paint
let playing = null;
let speed = 3;
let scenes = [];

// The state from the address, and into it

function restored() {
  const given = new URLSearchParams(decodeURIComponent(location.hash.slice(1)).replaceAll("+", "%2B"));
  const next = { ...START };
  for (const [name, value] of Object.entries(START))
    if (given.has(name)) next[name] = typeof value === "number" ? Number(given.get(name)) || 0 : given.get(name);
  for (const [name, axis] of Object.entries(task.axes)) next[name] = clamp(Math.round(next[name]), axis.least, axis.most);
  next.slots = next.slots > 0 ? 2 ** clamp(Math.round(Math.log2(next.slots)), 3, 10) : 0;
  next.step = Math.max(Math.round(next.step), -1);
  if (!(next.broken in OFFERED)) next.broken = "intact";
  return next;
}

function remember() {
  const changed = Object.entries(state).filter(([name, value]) => value !== START[name]);
  const hash = changed.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join("&");
  try {
    history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search);
  } catch {
    // a frame in a notebook has no address of its own
  }
}

const difficulty = () => Object.fromEntries(Object.keys(task.axes).map((name) => [name, state[name]]));
const numbersOf = (text) => (text ? text.split("_").map((part) => part.split(".").map(Number)) : []);
const editsOf = () =>
  (state.edits ? state.edits.split("_") : []).map((part) => {
    const [after, slot, column, value] = part.split("~").map(Number);
    return { after, slot, column, value };
  });

// From the state to what is on the screen

function content() {
  let drawn = task.draw(difficulty(), seeded(state.seed));
  if (state.asked >= 0 && task.ask) drawn = task.ask(drawn, difficulty(), state.asked);
  for (const [row, column, value] of numbersOf(state.painted))
    if (drawn.cells[row]?.[column] !== undefined) drawn.cells[row][column] = value ?? turned(drawn.cells[row][column]);
  return drawn;
}

// As many slots as steps are heard before the first answer, and one to spare; a power of two. As slots_needed in Python.
function slotsFor(machine, laid) {
  if (!machine.hasMemory || !machine.initial.resizable) return machine.slots;
  if (state.slots) return state.slots;
  const heard = laid.mask.indexOf(true) + 1;
  return Math.max(machine.slots, 2 ** Math.ceil(Math.log2(heard + 1)));
}

function changeOf(machine, laid, slots) {
  const ablation = OFFERED[state.broken];
  const silent = state.silent.split("_");
  const heads = (kind, count) => range(count).filter((head) => silent.includes(`${kind}${head}`));
  return {
    ...NO_CHANGE,
    from: state.from >= 0 ? state.from : answering(laid),
    silent: {
      read: ablation.silentReads ? range(machine.readHeads) : heads("read", machine.readHeads),
      write: heads("write", machine.writeHeads),
    },
    frozen: Boolean(ablation.frozen),
    cleared: Boolean(ablation.cleared),
    cut: Boolean(ablation.cut && ablationsOf(machine)[state.broken]),
    moved: ablation.moved ?? null,
    order: shuffled(slots, seeded(state.seed + 1)),
    edits: editsOf(),
  };
}

const isBroken = () => state.broken !== "intact" || state.silent !== "" || state.edits !== "";

// Run all models that are shown; whatever may have changed.
function rebuild() {
  const laid = task.layout(content(), difficulty());
  const known = !["examples", "Babi"].includes(shown.task.kind) || !state.painted;
  const visible = state.compare ? models : models.slice(0, 1);
  scenes = visible.map((model) => {
    const machine = model.machines[momentOf(model)];
    const slots = slotsFor(machine, laid);
    const recording = new Recording(machine, laid.inputs, slots, changeOf(machine, laid, slots));
    const whole = isBroken() ? new Recording(machine, laid.inputs, slots) : recording;
    const seen = recording.change.moved === "slots" ? recording : whole;
    const used = state.all ? range(slots) : slotsInUse(seen, laid.mask);
    return { model, machine, laid, answer, known, recording, whole, slots: used, head: headOf(machine), scale: spreadOf(recording) };
  });
  if (state.step >= laid.inputs.length) state.step = laid.inputs.length - 1;
  build();
  redraw();
}

const momentOf = (model) => (state.moment < 0 ? model.machines.length - 1 : Math.min(state.moment, model.machines.length - 1));

function headOf(machine) {
  const [, kind, index] = /^(read|write)(\d+)$/.exec(state.head) ?? [null, "read", "0"];
  return { kind, index: Math.min(Number(index), (kind === "read" ? machine.readHeads : machine.writeHeads) - 1) };
}

// A colour scale that one large number does not whiten: what 98 % of the numbers of the memory at the end are within.
function spreadOf(recording) {
  if (!recording.machine.hasMemory) return 1;
  const last = recording.at(recording.inputs.length - 1).signals.memory;
  const sizes = last.flatMap((row) => [...row].map(Math.abs)).filter((size) => size > 1e-3).sort((a, b) => a - b);
  return Math.max(sizes[Math.floor(0.98 * sizes.length)] ?? 1, 0.1);
}

// Where answering begins; of a task that asks while it tells, a step by which much has been told.
function answering({ mask, inputs }) {
  const first = Math.max(0, mask.indexOf(true));
  const tells = inputs.slice(first).some((input) => input.some((value) => value !== 0));
  return tells ? Math.floor(0.7 * mask.length) : first;
}

const step = () => (state.step >= 0 ? state.step : answering(scenes[0].laid));

// The elements that hang on what is shown, made anew only where their number changes

const lines = [];
const grid = new Grid(find("#grid"), (slot, column) => {
  chosen = { slot, column };
  redraw();
});
const stages = new Stages(find("#stages"));

function build() {
  const place = find("#lines");
  while (lines.length > scenes.length) lines.pop().element.remove();
  while (lines.length < scenes.length) {
    const element = find("#line").content.firstElementChild.cloneNode(true);
    place.append(element);
    const over = element.querySelector(".over");
    over.setAttribute("aria-label", "Time line. Left and right go through time; up and down choose an input, Enter turns it over.");
    over.addEventListener("focus", () => over.matches(":focus-visible") && ((cursor = lines[0].lanes.inputChannels()[0] ?? null), redraw()));
    over.addEventListener("blur", () => ((cursor = null), redraw()));
    const story = new Story(element.querySelector(".story"), { seek, write: exchange });
    lines.push({ element, story, lanes: new Lanes(element.querySelector(".base"), over, { seek, hover, paint }) });
  }
  const [{ machine, laid }] = scenes;
  document.body.classList.toggle("two", scenes.length > 1);
  document.body.classList.toggle("plain", !machine.hasMemory);
  find("#task").textContent = task.title;
  find("#about").textContent = task.words;
  find("#compare").hidden = models.length < 2;
  press("#compare", Boolean(state.compare));
  press("#all", Boolean(state.all));
  find("#step").max = laid.inputs.length - 1;
  find("#glyph").hidden = !laid.image;
  for (const name of Object.keys(OFFERED)) press(`#ablations [value="${name}"]`, state.broken === name);
  find("#from").value = state.from < 0 ? "answer" : "here";
  find("#from [value=answer]").textContent = `step ${answering(laid) + 1}${laid.mask.indexOf(true) === answering(laid) ? ", the first answer" : ""}`;
  find("#from [value=here]").textContent = state.from < 0 ? "this step" : `step ${state.from + 1}`;
  if (machine.hasMemory) {
    tabs(machine);
    silencers(machine);
  }
  axes();
}

const press = (selector, pressed) => find(selector)?.setAttribute("aria-pressed", String(pressed));

function buttons(place, wanted) {
  const names = wanted.map(({ value }) => value).join();
  if (place.dataset.names !== names) {
    place.dataset.names = names;
    place.replaceChildren(
      ...wanted.map(({ value, words, kind, title = "" }) => {
        const button = Object.assign(document.createElement("button"), { value, textContent: words, className: kind ?? "", title });
        if (place.getAttribute("role") === "tablist") button.setAttribute("role", "tab");
        return button;
      }),
    );
  }
}

const headsOf = (machine) =>
  ["write", "read"].flatMap((kind) => {
    const count = kind === "read" ? machine.readHeads : machine.writeHeads;
    return range(count).map((index) => ({ value: `${kind}${index}`, words: count > 1 ? `${kind} ${index + 1}` : kind, kind }));
  });

function tabs(machine) {
  const place = find("#heads");
  buttons(place, headsOf(machine));
  const { kind, index } = headOf(machine);
  for (const tab of place.children) tab.setAttribute("aria-selected", String(tab.value === `${kind}${index}`));
}

function silencers(machine) {
  const place = find("#silence");
  buttons(place, headsOf(machine).map((head) => ({ ...head, words: `silence ${head.words}`, kind: "" })));
  for (const button of place.children) button.setAttribute("aria-pressed", String(state.silent.split("_").includes(button.value)));
}

// A slider for every axis of the difficulty, for the slots and for the moments of training.
function axes() {
  const [{ machine, recording, model }] = scenes;
  const sliders = Object.entries(task.axes)
    .filter(([, axis]) => axis.most > axis.least)
    .map(([name, axis]) => ({ name, least: axis.least, most: axis.most, value: state[name], words: state[name], beyond: axis.high && state[name] > axis.high, title: `trained on ${axis.low} to ${axis.high}` }));
  if (machine.hasMemory && machine.initial.resizable)
    sliders.push({ name: "slots", least: 3, most: 10, value: Math.round(Math.log2(recording.slots)), words: recording.slots, beyond: recording.slots > machine.slots, title: `trained with ${machine.slots}` });
  if (model.moments.length > 1) {
    const moment = momentOf(model);
    sliders.push({ name: "moment", least: 0, most: model.moments.length - 1, value: moment, words: trainedOn(scenes[0])[0], title: "moments of the training", label: "training" });
  }
  const place = find("#axes");
  if (place.children.length !== sliders.length)
    place.replaceChildren(
      ...sliders.map(({ name }) => {
        const label = document.createElement("label");
        label.innerHTML = `<span></span><input type="range" step="1" name="${name}"><output></output>`;
        return label;
      }),
    );
  sliders.forEach(({ name, least, most, value, words, beyond, title, label }, index) => {
    const [span, input, output] = place.children[index].children;
    span.textContent = label ?? name;
    Object.assign(input, { min: least, max: most });
    input.value = value;
    input.setAttribute("aria-valuetext", `${words}`);
    output.textContent = words;
    place.children[index].classList.toggle("beyond", Boolean(beyond));
    place.children[index].title = title;
  });
}

// Draw all that is shown

function redraw() {
  readColours();
  scenes.forEach((scene, index) => {
    const { element, lanes, story } = lines[index];
    story.draw(scene);
    lanes.draw(scene);
    element.querySelector("h2").textContent = scene.model.name || kindOf(scene);
    element.querySelector(".kind").textContent = [...(scene.model.name ? [kindOf(scene)] : []), ...trainedOn(scene), ...(shown.rounded ? ["weights rounded"] : [])].join(" · ");
    element.querySelector(".base").setAttribute("aria-label", `${kindOf(scene)}: input, weightings and output over time`);
    scoreInto(element.querySelector(".score"), scene);
  });
  follow();
}

const controllerOf = (machine) => (machine.controller.gated ? "LSTM" : machine.controller.hidden ? "recurrent" : "feedforward");

const kindOf = ({ machine }) =>
  machine.hasMemory ? `${machine.access.name.replace("Access", "")}, ${controllerOf(machine)} controller` : "LSTM, without a memory";

function trainedOn({ model }) {
  const { sequences } = model.moments[momentOf(model)];
  if (model.moments.length === 1) return [];
  return [sequences < 0 ? "trained" : sequences ? `after ${sequences.toLocaleString("en")} sequences` : "before training"];
}

function scoreInto(place, { laid, known, recording }) {
  const { wrong, asked, knowable, wrongKnowable, cost, optimum } = score(answer, laid, recording.logits);
  const bits = (value) => (value < 10 ? value.toFixed(2) : value.toFixed(0));
  place.className = "score";
  if (!known) place.innerHTML = "<small>changed: the page does not know the answer</small>";
  else if (answer.kind === "reals") place.innerHTML = `<b>${round(cost, 3)}</b> squared error`;
  else if (optimum !== null)
    place.innerHTML = `<b>${bits(Math.abs(cost - optimum))}</b> bits ${cost < optimum ? "below" : "above"} the optimum of ${bits(optimum)} <small>· ${wrong} of ${asked} wrong</small>`;
  else {
    place.classList.add(wrongKnowable ? "bad" : "good");
    const seen = laid.knowable ? ` once seen <small>· ${wrong - wrongKnowable} of ${asked - knowable} first looks</small>` : "";
    place.innerHTML = `<b>${wrongKnowable}</b> of ${knowable} ${task.noun ?? answer.noun} wrong${seen} <small>· cost ${bits(cost)} bits</small>`;
  }
  if (isBroken()) lost(wrong, asked);
}

function lost(wrong, asked) {
  const { laid, whole } = scenes[0];
  const before = score(answer, laid, whole.logits).wrong;
  find("#lost").textContent = `${before} wrong before, now ${wrong} of ${asked}`;
}

// What goes with the step.
function follow() {
  const at = step();
  const focus = hovered ?? at;
  find("#step").value = at;
  find("#step").setAttribute("aria-valuetext", `step ${at + 1}`);
  scenes.forEach(({ recording, laid }, index) => {
    const found = laid.mask[focus] ? sources(recording, focus) : [];
    const paths = found.map(({ step: from, ...path }) => ({ ...path, from, to: focus }));
    lines[index].lanes.mark({ step: at, paths, cursor: index === 0 ? cursor : null });
    lines[index].story.mark(at, found.map(({ step: from }) => from));
  });
  const [scene] = scenes;
  const detail = scene.recording.at(at);
  const wrong = scene.known && scene.laid.mask[at] ? answer.wrong(detail.logits, scene.laid.targets[at]).filter(Boolean).length : null;
  find("#caption").textContent = narrate({ ...scene, step: at, detail, found: sources(scene.recording, at), wrong });
  if (!isBroken()) find("#lost").textContent = "";
  remember();
  if (scenes.length > 1 || !scene.machine.hasMemory) return;
  memoryAt(scene, at, detail);
  const last = at ? scene.recording.steps[at - 1].signals[`${scene.head.kind}_weighting`][scene.head.index] : null;
  stages.draw({ ...scene, detail, last });
}

function memoryAt({ machine, slots, head, scale, laid }, at, { signals }) {
  const total = (weightings) => weightings[0].map((_, slot) => weightings.reduce((sum, weighting) => sum + weighting[slot], 0));
  const place = head.kind === "write" && machine.access.name === "NTMAccess" ? machine.readHeads + head.index : head.index;
  const key = (signals.key ?? signals[`${head.kind}_key`])[place];
  const strips = [{ name: "key", values: key, mark: head.kind }];
  if (head.kind === "write") strips.push({ name: "add", values: (signals.add ?? signals.key)[head.index], mark: "write" });
  else strips.push({ name: "read", values: signals.reads[head.index], mark: "read" });
  const edits = editsOf().filter(({ after }) => after <= at);
  const view = { memory: signals.memory, slots, scale, strips, chosen, edited: edits };
  grid.draw({ ...view, read: total(signals.read_weighting), write: total(signals.write_weighting) });
  find("#when").textContent = `after step ${at + 1} · ${slots.length} of ${signals.memory.length} slots`;
  const [words, label, empty, undo] = find("#cell").children;
  const value = chosen ? signals.memory[chosen.slot]?.[chosen.column] : undefined;
  words.textContent = value === undefined ? "Press a cell to change what is stored." : `slot ${chosen.slot}, number ${chosen.column}: ${round(value)}`;
  label.hidden = empty.hidden = value === undefined;
  undo.hidden = !state.edits;
  const slider = label.querySelector("input");
  const most = Math.max(1, scale);
  Object.assign(slider, { min: -most, max: most });
  if (value !== undefined && document.activeElement !== slider) slider.value = value;
  if (laid.image) glyph(laid, at);
}

function glyph({ inputs, image: { pixels, side } }, at) {
  const { context, width } = fit(find("#glyph canvas"));
  const dot = width / side;
  for (let pixel = 0; pixel < pixels; pixel++) {
    context.fillStyle = tint("ink", inputs[at][pixel]);
    context.fillRect((pixel % side) * dot, Math.floor(pixel / side) * dot, dot - 1, dot - 1);
  }
  context.strokeStyle = colour("line");
  context.strokeRect(0, 0, width, width);
}

// What one does

function set(changes) {
  Object.assign(state, changes);
  rebuild();
}

function seek(target) {
  state.step = clamp(target, 0, scenes[0].laid.inputs.length - 1);
  follow();
}

function hover(target) {
  if (target === hovered) return;
  hovered = target;
  follow();
}

// Turn an input over, or ask for something else; false where there is nothing to paint.
function paint(at, channel) {
  const { laid } = scenes[0];
  if (laid.asks?.(at)) {
    const now = state.asked >= 0 ? state.asked : content().asked;
    set({ asked: (now + 1) % (state.items - 1) });
    return true;
  }
  const place = laid.cell(at, channel);
  if (!place) return false;
  const name = place.join(".");
  const painted = state.painted ? state.painted.split("_") : [];
  set({ painted: (painted.includes(name) ? painted.filter((other) => other !== name) : [...painted, name]).join("_") });
  return true;
}

// Put another word at a place of a step.
function exchange(at, place, number) {
  const name = `${at}.${place}`;
  const others = state.painted ? state.painted.split("_").filter((other) => !other.startsWith(`${name}.`)) : [];
  set({ painted: [...others, `${name}.${number}`].join("_") });
}

function edit(changes) {
  const after = step();
  const kept = editsOf().filter((old) => !changes.some((now) => old.after === after && old.slot === now.slot && old.column === now.column));
  const all = [...kept, ...changes.map((change) => ({ after, ...change }))];
  set({ edits: all.map(({ after: when, slot, column, value }) => [when, slot, column, Number(value.toFixed(3))].join("~")).join("_") });
}

const nextSequence = () => set({ seed: state.seed + 1, painted: "", asked: -1, edits: "" });

function silence(value) {
  const silent = state.silent ? state.silent.split("_") : [];
  set({ silent: (silent.includes(value) ? silent.filter((other) => other !== value) : [...silent, value]).join("_") });
}

function nextHead() {
  const all = headsOf(scenes[0].machine).map(({ value }) => value);
  const { kind, index } = headOf(scenes[0].machine);
  set({ head: all[(all.indexOf(`${kind}${index}`) + 1) % all.length] });
}

function play() {
  if (playing !== null) return pause();
  if (step() >= scenes[0].laid.inputs.length - 1) seek(0);
  let before = performance.now();
  let owed = 0;
  const tick = (now) => {
    owed += ((now - before) * SPEEDS[speed]) / 1000;
    before = now;
    const due = Math.floor(owed);
    owed -= due;
    if (due) seek(step() + due);
    if (step() >= scenes[0].laid.inputs.length - 1) pause();
    else playing = requestAnimationFrame(tick);
  };
  playing = requestAnimationFrame(tick);
  find("#play").textContent = "❚❚";
  find("#play").setAttribute("aria-label", "Pause");
  find("#caption").setAttribute("aria-live", "off"); // or a screen reader would never come to an end
  return undefined;
}

function pause() {
  cancelAnimationFrame(playing);
  playing = null;
  find("#play").textContent = "▶";
  find("#play").setAttribute("aria-label", "Play");
  find("#caption").setAttribute("aria-live", "polite");
}

function pace(value) {
  speed = clamp(value, 0, SPEEDS.length - 1);
  find("#speed").value = speed;
  find("#pace output").textContent = `${SPEEDS[speed]} steps/s`;
}

function turnAxis(by) {
  const [name, axis] = Object.entries(task.axes)[0];
  set({ [name]: clamp(state[name] + by, axis.least, axis.most), painted: "", edits: "" });
}

function theme() {
  const dark = document.documentElement.dataset.theme !== "dark";
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  redraw();
}

function present() {
  press("#present", document.body.classList.toggle("present"));
  redraw();
}

const help = () => (find("#keys").open ? find("#keys").close() : find("#keys").showModal());
const fullscreen = () => (document.fullscreenElement ? document.exitFullscreen() : document.documentElement.requestFullscreen());
const turnMoment = (by) => set({ moment: clamp(momentOf(scenes[0].model) + by, 0, scenes[0].model.moments.length - 1) });

const DIGITS = Object.keys(OFFERED).map((_, number) => `${number}`);

// Keys: the first of each list is the one in the help.
const KEYS = [
  [["Space"], "play or pause", play, [" "]],
  [["← →"], "a step back or on; with Shift ten", (event) => seek(step() + (event.key === "ArrowLeft" ? -1 : 1) * (event.shiftKey ? 10 : 1)), ["ArrowLeft", "ArrowRight"]],
  [["Home End"], "the first or the last step", (event) => seek(event.key === "Home" ? 0 : Infinity), ["Home", "End"]],
  [["↑ ↓"], "faster or slower", (event) => pace(speed + (event.key === "ArrowUp" ? 1 : -1)), ["ArrowUp", "ArrowDown"]],
  [["N"], "another sequence", nextSequence, ["n"]],
  [["[ ]"], "easier or harder", (event) => turnAxis(event.key === "[" ? -1 : 1), ["[", "]"]],
  [["H"], "the next head", nextHead, ["h"]],
  [["A"], "all slots, or those that matter for the answers", () => set({ all: 1 - state.all }), ["a"]],
  [[DIGITS.join(" ")], Object.keys(OFFERED).join("; "), (event) => set({ broken: Object.keys(OFFERED)[Number(event.key)] }), DIGITS],
  [["R"], "undo all that was changed", () => set({ ...START, ...difficulty(), seed: state.seed, step: state.step, compare: state.compare }), ["r"]],
  [["C"], "both models, or one", () => models.length > 1 && set({ compare: 1 - state.compare }), ["c"]],
  [[", ."], "an earlier or a later moment of training", (event) => turnMoment(event.key === "," ? -1 : 1), [",", "."]],
  [["P"], "presenter's view", present, ["p"]],
  [["F"], "the whole screen", fullscreen, ["f"]],
  [["D"], "light or dark", theme, ["d"]],
  [["?"], "these keys", help, ["?"]],
];

function key(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || (find("#keys").open && event.key !== "?")) return undefined;
  const { target } = event;
  const isArrow = event.key.startsWith("Arrow") || event.key === "Home" || event.key === "End";
  if (target.matches("input, select") && (isArrow || event.key === " ")) return undefined;
  if (target.matches("button") && (event.key === " " || event.key === "Enter")) return undefined;
  if (target.matches(".over") && cursor === null && event.key === "Enter") {
    cursor = lines[0].lanes.inputChannels()[0] ?? null;
    return follow();
  }
  if (target.matches(".over") && cursor !== null && ["ArrowUp", "ArrowDown", "Enter"].includes(event.key)) {
    const channels = lines[0].lanes.inputChannels();
    const place = Math.max(0, channels.indexOf(cursor)) + { ArrowUp: -1, ArrowDown: 1, Enter: 0 }[event.key];
    cursor = channels[clamp(place, 0, channels.length - 1)];
    if (event.key === "Enter") paint(step(), cursor);
    else follow();
    return event.preventDefault();
  }
  const wanted = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const known = KEYS.find(([, , , keys]) => keys.includes(wanted));
  if (!known) return undefined;
  event.preventDefault();
  return known[2](event);
}

function listen() {
  const on = (selector, kind, act) => find(selector).addEventListener(kind, act);
  on("#first", "click", () => seek(0));
  on("#back", "click", () => seek(step() - 1));
  on("#forward", "click", () => seek(step() + 1));
  on("#play", "click", play);
  on("#step", "input", (event) => seek(Number(event.target.value)));
  on("#speed", "input", (event) => pace(Number(event.target.value)));
  on("#new", "click", nextSequence);
  on("#compare", "click", () => set({ compare: 1 - state.compare }));
  on("#present", "click", present);
  on("#all", "click", () => set({ all: 1 - state.all }));
  on("#theme", "click", theme);
  on("#help", "click", help);
  on("#heads", "click", (event) => event.target.value && set({ head: event.target.value }));
  on("#silence", "click", (event) => event.target.value && silence(event.target.value));
  on("#ablations", "click", (event) => event.target.value && set({ broken: event.target.value }));
  on("#from", "change", (event) => set({ from: event.target.value === "here" ? step() : -1 }));
  on("#axes", "input", ({ target }) => {
    const value = Number(target.value);
    if (target.name === "slots") set({ slots: 2 ** value });
    else if (target.name === "moment") set({ moment: value });
    else set({ [target.name]: value, painted: "", edits: "", step: -1, from: -1 });
  });
  const [, label, empty, undo] = find("#cell").children;
  label.querySelector("input").addEventListener("input", (event) => edit([{ ...chosen, value: Number(event.target.value) }]));
  empty.addEventListener("click", () =>
    edit(range(scenes[0].machine.access.width).map((column) => ({ slot: chosen.slot, column, value: 0 }))),
  );
  undo.addEventListener("click", () => set({ edits: "" }));
  on("#glyph canvas", "pointerdown", ({ target, clientX, clientY }) => {
    const { image } = scenes[0].laid;
    const box = target.getBoundingClientRect();
    const [x, y] = [clientX - box.left, clientY - box.top].map((at) => clamp(Math.floor((at / box.width) * image.side), 0, image.side - 1));
    paint(step(), y * image.side + x);
  });
  addEventListener("keydown", key);
  addEventListener("hashchange", () => {
    state = restored();
    rebuild();
  });
  new ResizeObserver(() => scenes.length && redraw()).observe(document.body);
}

// For the console, and for tests: what is shown, with inputs, logits and every signal.
globalThis.lab = { state: () => state, scenes: () => scenes };

document.documentElement.dataset.theme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
find("#keys dl").innerHTML = KEYS.map(([[name], words]) => `<dt>${name}</dt><dd>${words}</dd>`).join("");
buttons(
  find("#ablations"),
  Object.keys(OFFERED).map((value, number) => ({ value, words: value, title: `key ${number}` })),
);
pace(speed);
listen();
rebuild();
document.body.removeAttribute("aria-busy");
