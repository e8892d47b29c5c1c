// The fields' names, each with its shade behind the whole of its row in the form.

import { t } from "../language/language.js";
import { shade } from "./measure.js";
import { Parts } from "./parts.js";
import { detail } from "./readout.js";

export class Names {
  #box;
  #parts;
  #units = [];

  constructor(box, readout, onHide) {
    this.#box = box;
    const onPoint = (index) => { readout.textContent = index === null ? t("names_do") : this.#describe(index); };
    this.#parts = new Parts(box, { onHide, onPoint });
    this.rest = () => onPoint(null);
  }

  /** rowOf(name): where the field stands in the form, counted from 1. */
  show(rowOf, { units, strongest }, layer, hidden) {
    this.#units = units.map((unit) => ({ ...unit, layer }));
    const options = units.map((unit, index) => {
      const value = shade(unit, strongest);
      const vars = { "--t": Math.abs(value), "--row": rowOf(unit.name) };
      return Parts.option({ class: value < 0 ? "name minus" : "name", text: unit.name, "aria-label": this.#describe(index), vars });
    });
    const rows = new Set(units.map(({ name }) => String(rowOf(name))));
    for (const row of this.#box.closest(".form").querySelectorAll(".field")) row.classList.toggle("named", rows.has(row.dataset.row));
    this.#box.replaceChildren(...options);
    this.#parts.show(options, 1, hidden);
    this.rest();
  }

  #describe(index) {
    const unit = this.#units[index];
    return `${unit.name}: ${detail(unit)}`;
  }
}
