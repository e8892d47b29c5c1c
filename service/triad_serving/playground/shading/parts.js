// Parts of a medium that can be hidden from the model: words, cells, moments, fields. One listbox, so one stop of
// the Tab key: arrows move, Space or Enter hides or brings back, Shift with an arrow goes on hiding; a drag does several.

import { make } from "../dom.js";

export class Parts {
  #box;
  #options = [];
  #columns = 1;
  #at = 0;
  #hidden;
  #editable = true;
  #drag = null;
  #listeners;

  /** onHide(hidden): the set of indices, once it changed; onPoint(index): null where none is pointed at. */
  constructor(box, { onHide, onPoint }) {
    this.#box = box;
    this.#listeners = { onHide, onPoint };
    box.setAttribute("role", "listbox");
    box.setAttribute("aria-multiselectable", "true");
    box.tabIndex = 0;
    box.addEventListener("keydown", (event) => this.#type(event));
    box.addEventListener("focus", () => this.#goTo(this.#at));
    box.addEventListener("blur", () => this.#point(null));
    box.addEventListener("pointerdown", (event) => this.#press(event));
    box.addEventListener("pointermove", (event) => this.#hover(event));
    box.addEventListener("pointerleave", () => this.#point(null));
    box.addEventListener("pointerup", () => this.#drop());
    box.addEventListener("pointercancel", () => this.#cancel());
  }

  /** An element for one part. attributes: its name, shade and place. */
  static option(attributes) {
    return make("span", { role: "option", "aria-selected": "false", ...attributes });
  }

  /** options: in order, already in the box; columns: in a line of them; editable: whether any can be hidden. */
  show(options, columns, hidden, editable = true) {
    this.#options = options;
    this.#editable = editable;
    this.#columns = columns;
    this.#hidden = new Set(hidden);
    this.#at = Math.min(this.#at, Math.max(options.length - 1, 0));
    this.#box.hidden = options.length === 0;
    options.forEach((option, i) => { option.id = `${this.#box.id}-${i}`; });
    this.#mark();
  }

  #mark() {
    this.#options.forEach((option, i) => option.setAttribute("aria-selected", String(this.#hidden.has(i))));
  }

  #set(index, hide) {
    if (hide) this.#hidden.add(index);
    else this.#hidden.delete(index);
    this.#options[index].setAttribute("aria-selected", String(hide));
  }

  #tell() {
    this.#listeners.onHide(new Set(this.#hidden));
  }

  #goTo(index) {
    if (this.#options.length === 0) return;
    this.#at = index;
    this.#box.setAttribute("aria-activedescendant", this.#options[index].id);
    this.#point(index);
  }

  #point(index) {
    this.#options.forEach((option, i) => option.classList.toggle("pointed", i === index));
    this.#listeners.onPoint(index);
  }

  #type(event) {
    const last = this.#options.length - 1;
    const moves = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -this.#columns, ArrowDown: this.#columns };
    if (event.key in moves || event.key === "Home" || event.key === "End") {
      const from = this.#at;
      const to = event.key === "Home" ? 0 : event.key === "End" ? last : from + moves[event.key];
      if (to >= 0 && to <= last) {
        this.#goTo(to);
        if (event.shiftKey && this.#editable) {
          this.#set(to, this.#hidden.has(from));
          this.#tell();
        }
      }
    } else if (this.#editable && (event.key === " " || event.key === "Enter")) {
      this.#set(this.#at, !this.#hidden.has(this.#at));
      this.#tell();
    } else return;
    event.preventDefault();
  }

  #under(event) {
    const option = document.elementFromPoint(event.clientX, event.clientY)?.closest("[role=option]");
    return this.#options.indexOf(option);
  }

  #press(event) {
    const index = this.#under(event);
    if (index < 0 || event.button !== 0 || !this.#editable) return;
    this.#box.setPointerCapture(event.pointerId);
    this.#drag = { hide: !this.#hidden.has(index), from: index, before: new Set(this.#hidden) };
    this.#set(index, this.#drag.hide);
    this.#at = index;
  }

  #hover(event) {
    const index = this.#under(event);
    if (index < 0) return;
    this.#point(index);
    if (this.#drag === null) return;
    const { hide, from } = this.#drag;
    // In one line a quick drag jumps over parts; in a grid the pointer's way is all we know.
    const oneLine = this.#columns >= this.#options.length;
    const [first, final] = oneLine ? [Math.min(from, index), Math.max(from, index)] : [index, index];
    for (let i = first; i <= final; i++) this.#set(i, hide);
    this.#drag.from = index;
  }

  #drop() {
    if (this.#drag === null) return;
    this.#drag = null;
    this.#tell();
  }

  /** The finger wanted to scroll. */
  #cancel() {
    if (this.#drag === null) return;
    this.#hidden = this.#drag.before;
    this.#drag = null;
    this.#mark();
  }
}
