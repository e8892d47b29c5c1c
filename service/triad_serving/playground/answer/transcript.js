// What was heard, over the wave: each symbol with its probability, and its moment marked where one is pointed at.

import { make, makeSvg } from "../dom.js";
import { percent, seconds, t } from "../language/language.js";
import { Parts } from "../shading/parts.js";
import { BARS, HEIGHT, outlineOf } from "../shading/wave.js";

/** sound: as given; length: its seconds, as the service heard them; id: of the list, unlike any other's. */
export function transcript({ symbols }, sound, length, id) {
  const marks = symbols.map(({ start, end, probability }) => make("span", {
    class: "mark", vars: { "--from": start / length, "--to": end / length, "--t": probability },
  }));
  const outline = sound?.editable ? outlineOf(sound.peaks(BARS)) : "";
  const wave = make("div", { class: "wave", "aria-hidden": "true" }, ...marks,
    makeSvg("svg", { viewBox: `0 0 ${BARS} ${HEIGHT}`, preserveAspectRatio: "none" }, makeSvg("path", { class: "outline", d: outline })));
  const readout = make("p", { class: "readout" });
  const list = make("div", { class: "symbols", id, "aria-label": t("heard") });
  let chosen = null;
  const point = (index) => {
    const shown = index ?? chosen;
    marks.forEach((mark, i) => mark.classList.toggle("pointed", i === shown));
    readout.textContent = shown === null ? t("heard_do") : describe(symbols[shown]);
  };
  const parts = new Parts(list, { onHide() {}, onPoint: point });
  const options = symbols.map((each) => Parts.option({ class: "symbol", text: each.symbol, "aria-label": describe(each), vars: { "--t": each.probability } }));
  list.append(...options);
  list.addEventListener("click", ({ target }) => { chosen = options.includes(target) ? options.indexOf(target) : null; point(null); });
  parts.show(options, Infinity, new Set(), false);
  point(null);
  return make("div", { class: "transcript" }, wave, list, readout);
}

const describe = ({ symbol, start, end, probability }) =>
  `${symbol}, ${t("moment", { start: seconds(start), end: seconds(end) })}: ${percent(probability)}`;
