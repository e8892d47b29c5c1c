// Exact Shapley values as a waterfall: what is known without any medium, what each adds, and the sum.

import { make } from "../dom.js";
import { change, number, percent, t } from "../language/language.js";
import { MEDIA } from "../media.js";

export function showShapley(box, prediction) {
  const { attribution } = prediction;
  const media = MEDIA.filter((medium) => medium in attribution);
  const share = attribution.target !== undefined; // of a label's probability; else of a regression's value
  const write = { whole: share ? percent : number, part: share ? change : signed };
  const rows = [{ name: t("baseline"), from: 0, to: attribution.baseline, text: write.whole(attribution.baseline) }];
  for (const medium of media) {
    const from = rows.length === 1 ? attribution.baseline : rows.at(-1).to;
    rows.push({ name: t(medium), medium, from, to: from + attribution[medium], text: write.part(attribution[medium]) });
  }
  const sum = rows.at(-1).to;
  rows.push({ name: share ? t("sum", { label: attribution.target }) : t("sum_value"), from: 0, to: sum, text: write.whole(sum), whole: true });
  const ends = rows.flatMap(({ from, to }) => [from, to]);
  const scale = share ? { low: Math.min(0, ...ends), high: Math.max(1, ...ends) } : { low: Math.min(0, ...ends), high: Math.max(...ends) };
  box.replaceChildren(
    make("ul", { class: "waterfall" }, ...rows.map((row) => line(row, scale))),
    make("ul", { class: "interactions" }, ...attribution.interactions.map(interaction)),
  );
}

function line({ name, medium, from, to, text, whole }, { low, high }) {
  const place = (value) => (value - low) / (high - low || 1);
  const vars = { "--from": Math.min(place(from), place(to)), "--to": Math.max(place(from), place(to)) };
  return make("li", { "data-medium": medium, class: whole ? "whole" : undefined },
    make("span", { class: "label", text: name }),
    make("span", { class: "track", "aria-hidden": "true" }, make("span", { class: to < from ? "step down" : "step", vars })),
    make("span", { class: "value", text }),
  );
}

function interaction({ media: [one, other], value, relation }) {
  const key = `relation_${relation.replace(" ", "_")}`;
  return make("li", { text: t(key, { one: t(one), other: t(other).toLowerCase(), value: signed(value) }) });
}

const signed = (value) => `${value < 0 ? "−" : "+"}${number(Math.abs(value))}`;
