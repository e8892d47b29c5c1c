// Where the milliseconds went: the service's own stages (Server-Timing), and the way there and back.

import { make } from "../dom.js";
import { number, t } from "../language/language.js";

const STAGES = ["preprocess", "queue", "inference", "postprocess"];

/** timings: [name, milliseconds] pairs; trip: milliseconds as this page measured them. */
export function showTimings(box, timings, trip) {
  const known = timings.filter(([name]) => STAGES.includes(name));
  const inside = known.reduce((sum, [, duration]) => sum + duration, 0);
  const rows = [...known, ["way", Math.max(trip - inside, 0)]];
  box.replaceChildren(
    make("div", { class: "stack", "aria-hidden": "true" }, ...rows.map(([name, duration]) =>
      make("span", { "data-stage": name, vars: { "--share": duration / trip } }),
    )),
    make("ul", { class: "keys" }, ...rows.map(([name, duration]) =>
      make("li", { "data-stage": name }, make("span", { class: "swatch", "aria-hidden": "true" }), `${t(`stage_${name}`)} `,
        make("span", { class: "value", text: `${number(duration, 2)} ms` })),
    )),
  );
}
