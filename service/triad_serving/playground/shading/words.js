// The text as sent, each word shaded by its weight.

import { t } from "../language/language.js";
import { shade } from "./measure.js";
import { Parts } from "./parts.js";
import { detail } from "./readout.js";

export class Words {
  #box;
  #parts;
  #units = [];

  constructor(box, readout, onHide) {
    this.#box = box;
    const onPoint = (index) => { readout.textContent = index === null ? t("words_do") : this.#describe(index); };
    this.#parts = new Parts(box, { onHide, onPoint });
    this.rest = () => onPoint(null);
  }

  show(text, { units, strongest }, layer, hidden) {
    this.#units = units.map((unit) => ({ ...unit, layer }));
    const letters = Array.from(text); // code points, as the offsets
    const options = [];
    const pieces = [];
    let at = 0;
    for (const unit of units) {
      pieces.push(letters.slice(at, unit.start).join(""));
      const value = shade(unit, strongest);
      const option = Parts.option({ class: value < 0 ? "word minus" : "word", text: unit.token, vars: { "--t": Math.abs(value) } });
      options.push(option);
      pieces.push(option);
      at = unit.end;
    }
    this.#box.replaceChildren(...pieces, letters.slice(at).join(""));
    this.#parts.show(options, Infinity, hidden);
    this.rest();
  }

  #describe(index) {
    const unit = this.#units[index];
    return `${unit.token}: ${detail(unit)}`;
  }
}
