// Errors in plain words, beside the field that caused them.

import { by, say } from "./dom.js";
import { known, t } from "./language.js";

const PLACES = {
  text: "text-error", image: "image-error", audio: "audio-error", model: "model-error", version: "model-error",
  top_k: "top-k-error", target: "target-error",
};
const WARNINGS = [
  [/^The text was cut off after (\d+) tokens/, "warning_text_cut"],
  [/^The model knows no word/, "warning_unknown"],
  [/^The sound was cut off after ([\d.]+) s/, "warning_sound_cut"],
  [/^The sound is silent/, "warning_silent"],
];

/** Those that there are now; whatever was told before goes. */
export function showProblems(problems, model) {
  for (const id of new Set(Object.values(PLACES))) {
    const here = problems.find(({ field }) => PLACES[field] === id);
    say(by(id), here ? inPlainWords(here, model) : "");
    if (here && by("settings").contains(by(id))) by("settings").open = true;
    for (const control of document.querySelectorAll(`[aria-describedby~="${id}"]`)) {
      control.setAttribute("aria-invalid", String(here !== undefined));
    }
  }
  const elsewhere = problems.find(({ field }) => !(field in PLACES));
  by("problem").hidden = elsewhere === undefined;
  if (elsewhere) by("problem-text").textContent = inPlainWords(elsewhere, model);
}

export function inPlainWords(problem, model) {
  const { kind, field, message: detail } = problem;
  const formats = (model?.inputs[field]?.formats ?? []).join(", ");
  const key = [`problem_${kind}_${field}`, `problem_${kind}`, "problem_other"].find(known);
  return t(key, { detail, formats });
}

/** The service warns in English. */
export function warning(text) {
  const found = WARNINGS.map(([pattern, key]) => [text.match(pattern), key]).find(([match]) => match);
  return found ? t(found[1], { limit: found[0][1] }) : text;
}
