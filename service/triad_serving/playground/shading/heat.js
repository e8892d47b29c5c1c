// The image as sent under its heat map: one cell for each region that the model tells apart.

import { make, showBlob } from "../dom.js";
import { t } from "../language/language.js";
import { shade } from "./measure.js";
import { Parts } from "./parts.js";
import { detail } from "./readout.js";

export class Heat {
  #frame;
  #image = make("img", { alt: "" });
  #cells = make("div", { class: "cells", id: "cells" });
  #parts;
  #units = [];
  #shown = null;

  constructor(frame, readout, onHide) {
    this.#frame = frame;
    const hint = () => t(this.#shown?.editable ? "cells_do" : "not_shown");
    const onPoint = (index) => { readout.textContent = index === null ? hint() : this.#describe(index); };
    this.#parts = new Parts(this.#cells, { onHide, onPoint });
    this.rest = () => onPoint(null);
    frame.append(this.#image, this.#cells);
  }

  /** size: of the image as sent, upright, as the service reports it. */
  show(picture, size, { units, rows, columns, region, strongest }, layer, hidden) {
    if (this.#shown !== picture) showBlob(this.#image, picture.blob);
    this.#image.hidden = !picture.editable;
    this.#shown = picture;
    this.#units = units.map((unit) => ({ ...unit, layer }));
    this.#place(size, region);
    this.#cells.style.setProperty("--columns", columns);
    this.#cells.style.setProperty("--rows", rows);
    this.#cells.setAttribute("aria-label", t("cells"));
    const options = units.map((unit, index) => {
      const value = shade(unit, strongest);
      const label = this.#describe(index);
      return Parts.option({ class: value < 0 ? "cell minus" : "cell", "aria-label": label, vars: { "--t": Math.abs(value) } });
    });
    this.#cells.replaceChildren(...options);
    this.#parts.show(options, columns, hidden, picture.editable);
    this.rest();
  }

  /** What the model saw may reach beyond the image (it pads) or leave its edges out (it crops). */
  #place({ width, height }, [left, top, right, bottom]) {
    const [x0, y0] = [Math.min(0, left), Math.min(0, top)];
    const [across, down] = [Math.max(width, right) - x0, Math.max(height, bottom) - y0];
    const place = (element, [l, t, r, b]) => {
      const share = { left: (l - x0) / across, top: (t - y0) / down, width: (r - l) / across, height: (b - t) / down };
      for (const [side, value] of Object.entries(share)) element.style[side] = `${100 * value}%`;
    };
    this.#frame.style.aspectRatio = `${across} / ${down}`;
    place(this.#image, [0, 0, width, height]);
    place(this.#cells, [left, top, right, bottom]);
  }

  #describe(index) {
    const unit = this.#units[index];
    return `${t("cell", { row: unit.row + 1, column: unit.column + 1 })}: ${detail(unit)}`;
  }
}
