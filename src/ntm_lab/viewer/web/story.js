// A story as text, where inputs and answers are words: each step's words can be pressed to go there, and exchanged by a menu.

export class Story {
  // `on` has seek(step) and write(step, place, number of a word).
  constructor(element, on) {
    Object.assign(this, { element, on, shown: "" });
    element.addEventListener("click", ({ target }) => target.dataset.step && on.seek(Number(target.dataset.step)));
    element.addEventListener("change", ({ target }) => on.write(Number(target.dataset.step), Number(target.dataset.place), Number(target.value)));
  }

  // The words of all steps, and behind those that ask what is answered.
  draw({ laid, recording, answer, known }) {
    this.element.hidden = !laid.vocabulary;
    if (!laid.vocabulary) return;
    this.laid = laid;
    this.at = null;
    this.element.replaceChildren(
      ...laid.said.flatMap((said, step) => {
        const spoken = said.filter((word) => word !== laid.asked);
        const parts = spoken.length ? [this.part(step, "button", spoken.join(" "))] : [];
        if (laid.mask[step]) {
          const [word] = answer.best(recording.logits[step]);
          const right = laid.vocabulary[laid.targets[step][0]];
          const wrong = known && laid.vocabulary[word] !== right;
          const reply = this.part(step, "button", `${laid.vocabulary[word]}${wrong ? ` ✗ ${right}` : known ? " ✓" : ""}`);
          reply.classList.add("reply", ...(wrong ? ["wrong"] : []));
          parts.push(reply);
        }
        return parts.flatMap((part) => [part, " "]);
      }),
    );
  }

  part(step, kind, text) {
    const part = document.createElement(kind);
    part.textContent = text;
    part.dataset.step = step;
    part.tabIndex = -1; // the arrow keys go from step to step
    return part;
  }

  // The present step, with a menu for each of its words; `sources` are the steps that wrote what is read.
  mark(step, sources) {
    if (this.element.hidden) return;
    const marked = `${step} ${sources.join()}`;
    if (this.at === marked) return;
    this.at = marked;
    this.element.querySelectorAll("select").forEach((menu) => menu.remove());
    for (const part of this.element.children) {
      const own = Number(part.dataset.step);
      part.classList.toggle("now", own === step);
      part.classList.toggle("source", sources.includes(own));
      part.hidden = own === step && !part.matches(".reply"); // its menus stand there
    }
    const first = this.element.querySelector(".now");
    if (!first) return;
    const menus = this.laid.places[step].map((place, index) => this.menu(step, place, this.laid.said[step][index]));
    first.before(...menus.filter(Boolean));
    const box = this.element;
    const shown = box.querySelector("select, .now:not([hidden])");
    box.scrollTop += shown.getBoundingClientRect().top - box.getBoundingClientRect().top - box.clientHeight / 2;
  }

  menu(step, place, word) {
    const { vocabulary, asked } = this.laid;
    if (word === asked) return null;
    const menu = document.createElement("select");
    Object.assign(menu.dataset, { step, place });
    menu.setAttribute("aria-label", `Word ${place + 1} of step ${step + 1}`);
    menu.append(...vocabulary.map((each, number) => new Option(each, number + 1, each === word, each === word)).filter(({ text }) => text !== asked));
    return menu;
  }
}
