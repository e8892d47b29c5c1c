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

/** problem: null clears all. retry: whether asking again may help. */
export function showProblem(problem, model) {
  const place = problem && PLACES[problem.field];
  for (const id of new Set(Object.values(PLACES))) {
    say(by(id), id === place ? inPlainWords(problem, model) : "");
    const control = document.querySelector(`[aria-describedby~="${id}"]`);
    if (control) control.setAttribute("aria-invalid", String(id === place));
  }
  if (place && by("settings").contains(by(place))) by("settings").open = true;
  const elsewhere = problem && !place;
  by("problem").hidden = !elsewhere;
  if (elsewhere) by("problem-text").textContent = inPlainWords(problem, model);
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
